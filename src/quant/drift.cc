#include "quant/drift.h"

#include <algorithm>

#include "base/error.h"
#include "quant/linear_algebra.h"

namespace aquatint::quant {
namespace {

constexpr int64_t kRows = 4096;  // tokens whose differences are held at a time

// Σ (a − b) xᵀ, [width][cols].
std::vector<float> cross_of_difference(std::span<const float> a, std::span<const float> b,
                                       std::span<const float> x, int64_t cols,
                                       const model::Backend& backend) {
  const int64_t tokens = static_cast<int64_t>(x.size()) / cols,
                width = static_cast<int64_t>(a.size()) / tokens;
  AQ_CHECK(a.size() == b.size() && tokens * width == static_cast<int64_t>(a.size()), "{} and {} values",
           a.size(), b.size());
  std::vector<float> cross(static_cast<size_t>(width * cols)), difference;
  for (int64_t first = 0; first < tokens; first += kRows) {
    const int64_t rows = std::min(kRows, tokens - first);
    difference.resize(static_cast<size_t>(rows * width));
    for (size_t i = 0, at = static_cast<size_t>(first * width); i < difference.size(); ++i, ++at)
      difference[i] = a[at] - b[at];
    add_cross({difference.data(), rows, width, width}, {x.data() + first * cols, rows, cols, cols},
              {cross.data(), width, cols, cols}, backend);
  }
  return cross;
}

}  // namespace

Drift::Drift(std::span<const float> exact, std::span<const float> moved,
             std::span<const float> exact_residual, std::span<const float> moved_residual,
             const InputStatistics& inputs)
    : inputs_(inputs),
      inputs_cross_(cross_of_difference(exact, moved, moved, inputs.cols(), inputs.backend())) {
  if (!exact_residual.empty())
    residual_cross_ =
        cross_of_difference(exact_residual, moved_residual, moved, inputs.cols(), inputs.backend());
}

std::vector<float> Drift::of_inputs(double damp) const { return solve(inputs_cross_, damp); }

std::vector<float> Drift::of_residual(double damp) const {
  return residual_cross_.empty() ? std::vector<float>{} : solve(residual_cross_, damp);
}

// cross · Uᵀ U. Columns that no token ever had a value in stay zero.
std::vector<float> Drift::solve(const std::vector<float>& cross, double damp) const {
  const Feedback& feedback = inputs_.feedback(damp, false);
  const int64_t n = inputs_.cols(), rows = static_cast<int64_t>(cross.size()) / n;
  std::vector<float> upper(feedback.upper.size()), lower(upper.size());
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = i; j < n; ++j)
      lower[static_cast<size_t>(j * n + i)] = upper[static_cast<size_t>(i * n + j)] =
          feedback.upper[static_cast<size_t>(i * n + j)] * feedback.diagonal[static_cast<size_t>(i)];
  const model::Backend& backend = inputs_.backend();
  return product(product(cross, rows, lower, n, backend), rows, upper, n, backend);
}

}  // namespace aquatint::quant
