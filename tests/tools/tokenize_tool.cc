// Text → ids and back with a tokenizer.json, for comparison with other implementations.
//   tokenize_tool encode TOKENIZER TEXT      the ids with special tokens, one a line; times on standard error
//   tokenize_tool plain  TOKENIZER TEXT      … without
//   tokenize_tool decode TOKENIZER IDS       the text of ids, special tokens left out
#include <fmt/format.h>

#include <cstdio>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/machine.h"
#include "text/tokenizer.h"

namespace {

using namespace aquatint;

int run(const std::string& mode, const char* tokenizer_file, const char* input_file) {
  const auto start = base::Clock::now();
  const auto tokenizer = text::Tokenizer::from_json(base::read_text(tokenizer_file), tokenizer_file);
  const double load_seconds = base::seconds_since(start);
  const std::string input = base::read_text(input_file);
  if (mode == "decode") {
    std::istringstream numbers(input);
    std::vector<int32_t> ids;
    for (int32_t id; numbers >> id;) ids.push_back(id);
    const std::string out = tokenizer->decode(ids, true);
    std::fwrite(out.data(), 1, out.size(), stdout);
    return 0;
  }
  const auto encode_start = base::Clock::now();
  const auto ids = tokenizer->encode(input, mode == "encode");
  fmt::print(stderr, "load {:.3f} s, encode {:.3f} s, {} ids\n", load_seconds,
             base::seconds_since(encode_start), ids.size());
  std::string out;
  for (const int32_t id : ids) out += fmt::format("{}\n", id);
  std::fwrite(out.data(), 1, out.size(), stdout);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    return run(argv[1], argv[2], argv[3]);
  } catch (const base::Error& e) {
    fmt::print(stderr, "{}\n", e.what());
    return e.exit_code();
  }
}
