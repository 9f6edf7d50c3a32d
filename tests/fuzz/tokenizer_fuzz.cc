// A tokenizer.json, and a text after a NUL byte (else a fixed one), through loading, encoding and decoding.
#include "text/tokenizer.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input = aquatint::fuzz::text(data, size);
  const size_t end = input.find('\0');
  const std::string_view text =
      end == std::string_view::npos ? "The caf\xC3\xA9's 123 \xE2\x96\x81\xFF\n <s>" : input.substr(end + 1);
  return aquatint::fuzz::refuse_or_parse([&] {
    const auto tokenizer = aquatint::text::Tokenizer::from_json(input.substr(0, end), "fuzz");
    tokenizer->decode(tokenizer->encode(text, true), false);
  });
}
