// Chooses the next token from a row of logits.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/rng.h"
#include "kernels/ops.h"

namespace aquatint::runtime {

struct SamplingOptions {
  float temperature = 0;  // 0: always the largest logit
  int64_t top_k = 0;      // only the k largest (and their equals); 0: all
  float top_p = 1;        // only the likeliest tokens that together reach this probability; 1: all
  uint64_t seed = 0;
};

// BadUsage for a negative temperature or top_k, or a top_p outside (0, 1].
void check(const SamplingOptions& options);

// Temperature, then top-k, then top-p over what is left, as transformers applies them; then one draw. The
// same seed and logits give the same tokens. `sequence` makes the draws of several sequences under one seed
// independent.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options, uint64_t sequence = 0);

  int32_t sample(std::span<const float> logits);
  // What sample() would choose by, for kernels that choose; the next chance is taken.
  kernels::Draw draw();

 private:
  struct Candidate {
    int32_t token;
    float logit;
    double probability;  // unnormalized
  };
  void gather(std::span<const float> logits);
  void keep_top_p();

  SamplingOptions options_;
  base::Rng rng_;
  std::vector<Candidate> candidates_;  // kept between calls for its memory
  std::vector<float> scratch_;
};

}  // namespace aquatint::runtime
