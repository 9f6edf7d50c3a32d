#include "quant/methods/learned_rounding.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace aquatint::quant {
namespace {

constexpr float kLeastFactor = 0.5f, kMostFactor = 1.5f;

const numeric::WeightScheme& checked(const numeric::WeightScheme& scheme, std::string_view method) {
  if (scheme.format->kind != numeric::Kind::integer)
    throw base::BadUsage(fmt::format("{} learns to round integers, not {} weights; take rtn or gptq", method,
                                     scheme.format->name));
  return scheme;
}

float sign(float v) { return static_cast<float>((v > 0) - (v < 0)); }

}  // namespace

LearnedRounding::LearnedRounding(std::span<const float> weights, int64_t rows, int64_t cols,
                                 const numeric::WeightScheme& scheme, const MethodOptions& options,
                                 std::string_view method, base::ThreadPool& pool)
    : LearnedMatrix(weights, rows, cols, checked(scheme, method), options, method, pool),
      weights_(weights),
      offsets_(weights.size()),
      factors_(first_scales_.size(), 1.0f) {}

float LearnedRounding::move(size_t g, size_t begin, std::span<float> moved) const {
  const float scale = rule_->stored({first_scales_[g] * factors_[g], zeros_[g]}).scale;
  for (size_t i = 0; i < moved.size(); ++i) moved[i] = weights_[begin + i] + offsets_[begin + i] * scale;
  return scale;
}

void LearnedRounding::step(int64_t row, const float* gradient, const Pace& pace) {
  const float rate = pace.left() / static_cast<float>(pace.steps);
  const float high = scheme_.format->max, low = -high - 1;
  for (int64_t first = 0; first < cols(); first += group_) {
    const auto begin = static_cast<size_t>(row * cols() + first), g = begin / static_cast<size_t>(group_);
    const float scale = scales_[g], zero = zero_under(scale, g);
    double by_scale = 0;
    for (size_t i = 0; i < static_cast<size_t>(group_); ++i) {
      const float weight = weights_[begin + i] / scale;
      const float code = weight + offsets_[begin + i] + zero;
      const bool inside = low - 0.5f <= code && code <= high + 0.5f;
      const float rounded = std::clamp(std::nearbyint(code), low, high) - zero;
      const float slope = gradient[static_cast<size_t>(first) + i];
      const float by_own = inside ? rounded - weight : scheme_.minima ? rounded + zero : rounded;
      by_scale += double{slope} * double{by_own};
      if (!inside) continue;
      float& offset = offsets_[begin + i];
      offset = std::clamp(offset - rate * sign(slope * scale), -0.5f, 0.5f);
    }
    factors_[g] = std::clamp(factors_[g] - rate * sign(static_cast<float>(by_scale) * first_scales_[g]),
                             kLeastFactor, kMostFactor);
  }
}

}  // namespace aquatint::quant
