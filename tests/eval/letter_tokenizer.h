// A tokenizer for tests: one token per byte (its value), except that "ab" is one token, 256; an optional BOS.
#pragma once
#include "text/tokenizer.h"

namespace aquatint::eval {

class LetterTokenizer : public text::Tokenizer {
 public:
  explicit LetterTokenizer(std::optional<int32_t> bos = std::nullopt) : bos_(bos) {}

  std::vector<int32_t> encode(std::string_view text, bool add_special) const override {
    std::vector<int32_t> ids;
    if (add_special && bos_) ids.push_back(*bos_);
    for (size_t i = 0; i < text.size(); ++i) {
      const bool pair = text.substr(i, 2) == "ab";
      ids.push_back(pair ? 256 : static_cast<unsigned char>(text[i]));
      i += pair;
    }
    return ids;
  }
  std::string decode(const std::vector<int32_t>& ids, bool) const override {
    std::string text;
    for (const int32_t id : ids) text += id == 256 ? "ab" : std::string(1, static_cast<char>(id));
    return text;
  }
  std::optional<int32_t> token_id(std::string_view) const override { return std::nullopt; }
  int64_t vocab_size() const override { return 258; }
  std::optional<int32_t> bos_id() const override { return bos_; }

 private:
  std::optional<int32_t> bos_;
};

}  // namespace aquatint::eval
