#include "quant/methods/learned_rounding.h"

#include <algorithm>

#include "base/error.h"
#include "quant/methods/grids.h"

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
Lanes sign(const Lanes& v) {
  const Lanes none = {}, one = none + 1.0f;
  return (v > none ? one : none) - (v < none ? one : none);
}

// Some weights of a group, at most kLanes: what their offsets become, and the loss's gradient by the scale.
struct OffsetStep {
  IntegerGrid grid;
  float scale, zero, clipped_zero, rate;

  template <class Count>
  AQ_INLINE Lanes operator()(const float* weights, const float* gradient, Count count, float* offsets) const {
    const Lanes weight = base::load_lanes(weights, count) / scale, slope = base::load_lanes(gradient, count);
    const Lanes offset = base::load_lanes(offsets, count);
    const Lanes code = weight + offset + zero;
    Lanes nearest;
    grid.nearest(code, nearest);
    const Lanes rounded = nearest - zero;
    const IntLanes inside = (code >= grid.low - 0.5f) & (code <= grid.high + 0.5f);
    const Lanes moved = base::clamp(offset - rate * sign(slope * scale), -0.5f, 0.5f);
    base::store_lanes(offsets, count, inside ? moved : offset);
    return slope * (inside ? rounded - weight : rounded + clipped_zero);
  }
};

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
  const float high = scheme_.format->max, scale = scales_[g], zero = zero_under(scale, g);
  const OffsetStep step = {{-high - 1, high}, scale, zero, scheme_.minima ? zero : 0, rate};
  const float* weights = weights_.data() + begin;
  float* offsets = offsets_.data() + begin;
  Lanes by_scale = {};
  base::by_lanes(0, group_, [&](int64_t i, auto count) {
    by_scale += step(weights + i, gradient + i, count, offsets + i);
  });
  return base::sum(by_scale);
}

}  // namespace aquatint::quant
