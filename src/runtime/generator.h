// Continues prompts, several at a time.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/model.h"
#include "runtime/sampler.h"
#include "text/tokenizer.h"

namespace aquatint::runtime {

struct GenerateOptions {
  int64_t max_tokens = 256;  // generated per prompt; less when the model's positions end before
  SamplingOptions sampling = {};
  std::vector<int32_t> stop_ids = {};  // end a reply and are not part of it
  int64_t batch = 16;                  // prompts in work together; the results do not depend on it
};

enum class Finish {
  stop,
  length,
  cancelled
};  // a stop id; max_tokens or the model's positions; the callback

struct Generation {
  std::vector<int32_t> tokens;
  std::string text;  // of the tokens, valid UTF-8; empty without a tokenizer
  Finish finish = Finish::length;
  int64_t prompt_tokens = 0;
  double first_token_seconds = 0;  // since run() was called
};

// Called on the caller's thread with each piece of text (perhaps empty) that a token completes; false ends
// this prompt's reply. With a tokenizer, pieces are valid UTF-8 and, joined, the reply's text.
using OnPiece = std::function<bool(size_t prompt, int32_t token, std::string_view piece)>;

class Generator {
 public:
  // Both must outlive the generator; a null tokenizer gives tokens only.
  Generator(model::Model& model, const text::Tokenizer* tokenizer) : model_(model), tokenizer_(tokenizer) {}

  // One result per prompt, in order: its own whatever else is in work, for the same seed and position in
  // `prompts`. BadUsage for an empty prompt or one that leaves no position free; OutOfResource for want of
  // cache memory; Interrupted after a stop request.
  std::vector<Generation> run(std::span<const std::vector<int32_t>> prompts, const GenerateOptions& options,
                              const OnPiece& on_piece = {});

 private:
  model::Model& model_;
  const text::Tokenizer* tokenizer_;
};

}  // namespace aquatint::runtime
