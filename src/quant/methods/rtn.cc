// Round to nearest: each block's scale from its own values (block_rule.h), then the nearest code. With `mse`
// the search is weighted by the importance of the input columns where it is known.
#include <algorithm>
#include <cmath>

#include "quant/methods/block_rounding.h"

namespace aquatint::quant {
namespace {

// Unless the scheme has one, compressed-tensors' rule: the largest weight's block gets E4M3's largest scale.
float divisor_of(std::span<const float> weights, const numeric::WeightScheme& scheme, float largest) {
  if (scheme.constant_divisor > 0) return scheme.constant_divisor;
  for (size_t i = 0; i < weights.size() && largest == 0; ++i)
    largest = std::max(largest, std::fabs(weights[i]));
  const float divisor = scheme.scale_format->max * scheme.format->max / largest;
  return std::isfinite(divisor) ? divisor : 1.0f;
}

tensor::QuantizedMatrix quantize(std::span<const float> weights, int64_t rows, int64_t cols,
                                 const numeric::WeightScheme& scheme, const MethodOptions& options,
                                 base::ThreadPool& pool) {
  const float divisor = scheme.has_divisor() ? divisor_of(weights, scheme, options.largest) : 1.0f;
  const auto rule = BlockRule::of(scheme, options.clip, "rtn", divisor);
  return round_blocks(
      weights, rows, cols, scheme, options, *rule, divisor,
      [&](const Block& block) { return rule->choose(block); }, pool);
}

}  // namespace

const Method rtn = {"rtn", "round to nearest on scales from the weights alone; needs no calibration",
                    quantize};

}  // namespace aquatint::quant
