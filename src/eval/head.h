// The model's head over many rows, a block of rows at a time, so that logits never take more than a few tens
// of MB.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/ops.h"
#include "model/model.h"

namespace aquatint::eval {

constexpr int64_t kHeadRows = 64;  // rows · vocabulary · 4 bytes: 39 MB at 152k entries

// Of one target token after one hidden state.
struct TokenScore {
  double log_probability = 0;  // natural
  bool top = false;            // the target has the largest logit (the lowest index on ties)
};

class Head {
 public:
  explicit Head(const model::Model& model);

  // logits of rows ≤ kHeadRows, valid until the next call.
  const float* logits(const float* hidden, int64_t rows);
  // hidden is [targets.size()][hidden_size]; one score per target.
  std::vector<TokenScore> score(const float* hidden, std::span<const int32_t> targets);

  // Of rows ≤ kHeadRows: the divergence from the reference's distributions, which has the same vocabulary,
  // and the targets' logits.
  void compare(Head& reference, const float* reference_hidden, const float* hidden,
               std::span<const int32_t> targets, kernels::Divergence* divergences, float* found);

  const model::Model& model() const { return model_; }

 private:
  void rate(const float* hidden, std::span<const int32_t> targets, kernels::LogitStats* stats, float* found);
  void pick(const float* logits, std::span<const int32_t> targets, float* found) const;

  const model::Model& model_;
  std::vector<float> logits_;  // of the host; grown when first asked for
};

}  // namespace aquatint::eval
