// Turns a growing list of token ids into pieces of text that can be shown at once.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace aquatint::runtime {

// Pieces are valid UTF-8 and never end inside a character; bytes that make no character become U+FFFD. All
// pieces and the rest, joined, are the decoded text.
class TextStream {
 public:
  // The tokenizer must outlive the stream. Special tokens are left out.
  explicit TextStream(const text::Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  std::string next(int32_t token);  // what `token` completes, perhaps nothing
  std::string rest();               // what was held back; call once, at the end

 private:
  std::string decode_from_context(size_t end) const;

  const text::Tokenizer& tokenizer_;
  std::vector<int32_t> ids_;
  size_t context_ = 0;  // ids from here are decoded together: a token's text can depend on the one before it
  size_t shown_ = 0;    // ids before here have been shown
};

}  // namespace aquatint::runtime
