#include "quant/methods/learned_matrix.h"

#include <algorithm>

#include "base/error.h"

namespace aquatint::quant {
namespace {

void check(const numeric::WeightScheme& scheme, std::string_view method) {
  if (scheme.rows_stand_alone() && scheme.scale_format->bits >= 16 && !scheme.double_quantized) return;
  throw base::BadUsage(fmt::format(
      "{} learns codes in groups or rows under scales of 16 or 32 bits, not {} weights under {}; take rtn or "
      "gptq",
      method, scheme.format->name,
      scheme.double_quantized ? std::string_view("double quantization") : scheme.scale_format->name));
}

tensor::QuantizedMatrix nearest(std::span<const float> weights, int64_t rows, int64_t cols,
                                const numeric::WeightScheme& scheme, const MethodOptions& options,
                                std::string_view method, base::ThreadPool& pool) {
  check(scheme, method);
  return rtn.quantize(weights, rows, cols, scheme, options, pool);
}

}  // namespace

LearnedMatrix::LearnedMatrix(std::span<const float> weights, int64_t rows, int64_t cols,
                             const numeric::WeightScheme& scheme, const MethodOptions& options,
                             std::string_view method, base::ThreadPool& pool)
    : scheme_(scheme), matrix_(nearest(weights, rows, cols, scheme, options, method, pool)) {
  group_ = matrix_.block_cols;
  rule_ = BlockRule::of(scheme, options.clip, method);
  const auto groups = static_cast<size_t>(matrix_.blocks());
  first_scales_.resize(groups);
  zeros_.resize(groups);
  for (size_t g = 0; g < groups; ++g) {
    first_scales_[g] = matrix_.scales.at(static_cast<int64_t>(g));
    zeros_[g] = zero_of(matrix_, static_cast<int64_t>(g));
  }
  kept_ = scales_ = first_scales_;
  codes_.resize(weights.size());
}

float LearnedMatrix::zero_under(float scale, size_t g) const {
  return scheme_.minima ? zeros_[g] * first_scales_[g] / scale : zeros_[g];
}

void LearnedMatrix::round(int64_t row, float* values) {
  std::vector<float> moved(static_cast<size_t>(group_)), scales(moved.size()), zeros(moved.size());
  for (int64_t first = 0; first < cols(); first += group_) {
    const auto begin = static_cast<size_t>(row * cols() + first), g = begin / static_cast<size_t>(group_);
    scales_[g] = move(g, begin, moved);
    std::fill(scales.begin(), scales.end(), scales_[g]);
    std::fill(zeros.begin(), zeros.end(), zero_under(scales_[g], g));
    rule_->round(moved.data(), scales.data(), scheme_.symmetric ? nullptr : zeros.data(), group_,
                 codes_.data() + begin, values + first);
  }
}

void LearnedMatrix::keep(int64_t row) {
  std::copy_n(codes_.begin() + row * cols(), cols(), matrix_.codes.mutable_u8() + row * cols());
  const int64_t groups = cols() / group_;
  std::copy_n(scales_.begin() + row * groups, groups, kept_.begin() + row * groups);
}

tensor::QuantizedMatrix LearnedMatrix::matrix() {
  store_scales(kept_, 1, matrix_);
  return std::move(matrix_);
}

}  // namespace aquatint::quant
