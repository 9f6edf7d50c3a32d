#include "quant/methods/learned_rounding.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace aquatint::quant {
namespace {

constexpr float kLeastFactor = 0.5f, kMostFactor = 1.5f;

void check(const numeric::WeightScheme& scheme, std::string_view method) {
  const bool rows = scheme.granularity == numeric::Granularity::group ||
                    scheme.granularity == numeric::Granularity::channel;
  if (scheme.format->kind == numeric::Kind::integer && rows && scheme.scale_format->bits >= 16) return;
  throw base::BadUsage(fmt::format(
      "{} learns to round integers in groups or rows under scales of 16 or 32 bits, not {} "
      "weights under {}; take rtn or gptq",
      method, scheme.format->name,
      scheme.double_quantized ? std::string_view("double quantization") : scheme.scale_format->name));
}

float sign(float v) { return static_cast<float>((v > 0) - (v < 0)); }

}  // namespace

LearnedRounding::LearnedRounding(std::span<const float> weights, int64_t rows, int64_t cols,
                                 const numeric::WeightScheme& scheme, const MethodOptions& options,
                                 std::string_view method, base::ThreadPool& pool)
    : weights_(weights), scheme_(scheme) {
  check(scheme, method);
  rule_ = BlockRule::of(scheme, options.clip, method);
  matrix_ = rtn.quantize(weights, rows, cols, scheme, options, pool);
  group_ = matrix_.block_cols;
  const auto groups = static_cast<size_t>(matrix_.blocks());
  first_scales_.resize(groups);
  zeros_.resize(groups);
  for (size_t g = 0; g < groups; ++g) {
    first_scales_[g] = matrix_.scales.at(static_cast<int64_t>(g));
    zeros_[g] = zero_of(matrix_, static_cast<int64_t>(g));
  }
  kept_ = scales_ = first_scales_;
  offsets_.assign(weights.size(), 0);
  factors_.assign(groups, 1);
  codes_.resize(weights.size());
}

float LearnedRounding::zero_under(float scale, size_t group) const {
  return scheme_.minima ? zeros_[group] * first_scales_[group] / scale : zeros_[group];
}

void LearnedRounding::round(int64_t row, float* values) {
  std::vector<float> moved(static_cast<size_t>(group_)), scales(moved.size()), zeros(moved.size());
  for (int64_t first = 0; first < cols(); first += group_) {
    const auto begin = static_cast<size_t>(row * cols() + first), g = begin / static_cast<size_t>(group_);
    const float scale = rule_->stored({first_scales_[g] * factors_[g], zeros_[g]}).scale;
    scales_[g] = scale;
    const float zero = zero_under(scale, g);
    for (size_t i = 0; i < moved.size(); ++i) moved[i] = weights_[begin + i] + offsets_[begin + i] * scale;
    std::fill(scales.begin(), scales.end(), scale);
    std::fill(zeros.begin(), zeros.end(), zero);
    rule_->round(moved.data(), scales.data(), scheme_.symmetric ? nullptr : zeros.data(), group_,
                 codes_.data() + begin, values + first);
  }
}

void LearnedRounding::step(int64_t row, const float* gradient, float rate) {
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

void LearnedRounding::keep(int64_t row) {
  std::copy_n(codes_.begin() + row * cols(), cols(), matrix_.codes.mutable_u8() + row * cols());
  const int64_t groups = cols() / group_;
  std::copy_n(scales_.begin() + row * groups, groups, kept_.begin() + row * groups);
}

tensor::QuantizedMatrix LearnedRounding::matrix() {
  store_scales(kept_, 1, matrix_);
  return std::move(matrix_);
}

}  // namespace aquatint::quant
