// The token windows of a text over which perplexity and divergence are measured.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace aquatint::eval {

struct WindowOptions {
  int64_t context = 2048;
  int64_t stride = 0;      // start of a window minus start of the one before; 0: context
  int64_t score_from = 1;  // tokens at positions score_from … context−1 of each window are scored
  int64_t windows = 0;     // at most so many; 0: all that fit
};

// The text is tokenized once; the last partial window is dropped. A BOS, where the tokenizer's own rule adds
// one, replaces the first token of each window. With a stride below the context a token is scored in every
// window that holds it at or after score_from; score_from = context − stride scores each once.
class Windows {
 public:
  // BadUsage for contradicting options, BadInput (naming needed and found tokens) when not one window fits.
  // `where` names the text.
  Windows(const text::Tokenizer& tokenizer, std::string_view text, const WindowOptions& options,
          const std::string& where);
  // The same over given tokens; bos < 0: none.
  Windows(std::vector<int32_t> tokens, int32_t bos, const WindowOptions& options, const std::string& where);

  int64_t count() const { return count_; }
  const WindowOptions& options() const { return options_; }  // stride and windows resolved
  int64_t scored_per_window() const { return options_.context - options_.score_from; }
  int64_t scored() const { return count_ * scored_per_window(); }
  int64_t text_tokens() const { return static_cast<int64_t>(tokens_.size()); }
  // The `context` tokens of window i.
  std::vector<int32_t> window(int64_t i) const;

 private:
  std::vector<int32_t> tokens_;
  int32_t bos_;
  WindowOptions options_;
  int64_t count_ = 0;
};

}  // namespace aquatint::eval
