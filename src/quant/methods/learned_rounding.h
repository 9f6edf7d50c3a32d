// Rounding that is learned (SignRound, Cheng et al., arXiv 2309.05516): each weight gets an offset in
// [−0.5, 0.5] steps before it is rounded, each group a factor on its scale, and both follow the sign of the
// loss's gradient in steps that fall from 1 / steps to none.
#pragma once
#include "quant/methods/learned_matrix.h"

namespace aquatint::quant {

class LearnedRounding : public LearnedMatrix {
 public:
  // As LearnedMatrix; of integers alone. `weights` must stay where they are.
  LearnedRounding(std::span<const float> weights, int64_t rows, int64_t cols,
                  const numeric::WeightScheme& scheme, const MethodOptions& options, std::string_view method,
                  base::ThreadPool& pool);

  void step(int64_t row, const float* gradient, const Pace& pace) override;

 private:
  float move(size_t g, size_t begin, std::span<float> moved) const override;
  float step_offsets(size_t g, int64_t begin, const float* gradient, float rate);

  std::span<const float> weights_;
  std::vector<float> offsets_, factors_;  // by weight, by group
};

}  // namespace aquatint::quant
