// Text ↔ token ids, from a tokenizer.json document (Hugging Face tokenizers). Ids equal that library's exactly.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace aquatint::text {

class Tokenizer {
 public:
  // Parses tokenizer.json (`where` names it in errors). BadInput when malformed or of an unsupported kind.
  static std::unique_ptr<Tokenizer> from_json(std::string_view tokenizer_json, const std::string& where);
  virtual ~Tokenizer() = default;

  // Ids of `text`; `add_special` applies the post-processor (a BOS, where the tokenizer's own rule adds one). Added
  // tokens in the text become their single ids, as in the library.
  virtual std::vector<int32_t> encode(std::string_view text, bool add_special) const = 0;
  // Bytes of the ids, special tokens left out on request. May end in the middle of a UTF-8 character.
  virtual std::string decode(const std::vector<int32_t>& ids, bool skip_special) const = 0;

  virtual std::optional<int32_t> token_id(std::string_view token) const = 0;
  virtual int64_t vocab_size() const = 0;  // highest id + 1
  virtual std::optional<int32_t> bos_id() const = 0;  // the token that the post-processor prepends, if it does
};

}  // namespace aquatint::text
