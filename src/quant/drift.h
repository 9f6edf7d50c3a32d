// How far the inputs of a stage have moved from the exact model's by what is quantized before it.
#pragma once
#include <span>
#include <vector>

#include "quant/input_statistics.h"

namespace aquatint::quant {

class Drift {
 public:
  // x: the input as the exact model has it, x̂: behind what is quantized, both [tokens][cols] with x̂ seen by
  // `inputs`; r, r̂: the residual streams beside them, [tokens][hidden], empty where the stage's output is not
  // added to it.
  Drift(std::span<const float> exact, std::span<const float> moved, std::span<const float> exact_residual,
        std::span<const float> moved_residual, const InputStatistics& inputs);

  const InputStatistics& inputs() const { return inputs_; }
  // What weights that make W x of x̂ as well as least squares can differ from W by, and what they must add for
  // r − r̂: W · of_inputs and of_residual, times (H + λI)⁻¹ with λ = damp · mean of H's diagonal.
  std::vector<float> of_inputs(double damp) const;  // Σ (x − x̂) x̂ᵀ (H + λI)⁻¹, [cols][cols]
  std::vector<float> of_residual(double damp) const;  // Σ (r − r̂) x̂ᵀ (H + λI)⁻¹, [hidden][cols]; or empty

 private:
  std::vector<float> solve(const std::vector<float>& cross, double damp) const;

  const InputStatistics& inputs_;
  std::vector<float> inputs_cross_, residual_cross_;  // Σ (x − x̂) x̂ᵀ, Σ (r − r̂) x̂ᵀ
};

}  // namespace aquatint::quant
