// A tokenizer whose token i is a given string of bytes.
#pragma once
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace aquatint::test {

class FakeTokenizer final : public text::Tokenizer {
 public:
  explicit FakeTokenizer(std::vector<std::string> pieces) : pieces_(std::move(pieces)) {}

  std::vector<int32_t> encode(std::string_view text, bool) const override {
    std::vector<int32_t> ids;
    for (char c : text) ids.push_back(*token_id(std::string_view(&c, 1)));
    return ids;
  }
  std::string decode(const std::vector<int32_t>& ids, bool) const override {
    std::string text;
    for (int32_t id : ids) text += pieces_[static_cast<size_t>(id)];
    return text;
  }
  std::optional<int32_t> token_id(std::string_view token) const override {
    for (size_t i = 0; i < pieces_.size(); ++i)
      if (pieces_[i] == token) return static_cast<int32_t>(i);
    return std::nullopt;
  }
  int64_t vocab_size() const override { return static_cast<int64_t>(pieces_.size()); }
  std::optional<int32_t> bos_id() const override { return std::nullopt; }

 private:
  std::vector<std::string> pieces_;
};

}  // namespace aquatint::test
