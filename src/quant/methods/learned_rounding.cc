#include "quant/methods/learned_rounding.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "base/error.h"
#include "base/lanes.h"

namespace aquatint::quant {
namespace {

constexpr float kLeastFactor = 0.5f, kMostFactor = 1.5f;

const numeric::WeightScheme& checked(const numeric::WeightScheme& scheme, std::string_view method) {
  if (scheme.format->kind != numeric::Kind::integer)
    throw base::BadUsage(fmt::format("{} learns to round integers, not {} weights; take rtn or gptq", method,
                                     scheme.format->name));
  return scheme;
}

float sign(float v) { return (v > 0 ? 1.0f : 0.0f) - (v < 0 ? 1.0f : 0.0f); }

float within(float v, float low, float high) {
  v = v > low ? v : low;
  return v < high ? v : high;
}

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
  for (int64_t first = 0; first < cols(); first += group_) {
    const int64_t begin = row * cols() + first;
    const auto g = static_cast<size_t>(begin / group_);
    const float by_scale = step_offsets(g, begin, gradient + first, rate);
    factors_[g] =
        std::clamp(factors_[g] - rate * sign(by_scale * first_scales_[g]), kLeastFactor, kMostFactor);
  }
}

// Returns the loss's gradient by the scale of the group.
float LearnedRounding::step_offsets(size_t g, int64_t begin, const float* gradient, float rate) {
  const float high = scheme_.format->max, low = -high - 1, scale = scales_[g], zero = zero_under(scale, g);
  const float clipped_zero = scheme_.minima ? zero : 0;
  const float* __restrict weights = weights_.data() + begin;
  float* __restrict offsets = offsets_.data() + begin;
  std::array<float, base::kLanes> by_scale{};
  base::by_lanes(0, group_, [&](int64_t at, auto n) {
    for (int64_t lane = 0; lane < n; ++lane) {
      const int64_t i = at + lane;
      const float weight = weights[i] / scale, slope = gradient[i];
      const float code = weight + offsets[i] + zero;
      const bool inside = (low - 0.5f <= code) & (code <= high + 0.5f);
      // Adding 1.5 · 2^23 leaves no fraction bits: round to nearest even.
      const float rounded = (within(code, low, high) + 12582912.0f) - 12582912.0f - zero;
      by_scale[static_cast<size_t>(lane)] += slope * (inside ? rounded - weight : rounded + clipped_zero);
      const float moved = within(offsets[i] - rate * sign(slope * scale), -0.5f, 0.5f);
      offsets[i] = inside ? moved : offsets[i];
    }
  });
  return std::accumulate(by_scale.begin(), by_scale.end(), 0.0f);
}

}  // namespace aquatint::quant
