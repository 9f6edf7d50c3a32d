// How the values of one block get a scale (and a zero-point) and codes under a weight scheme: what every
// method that rounds to a grid shares.
//
// Scales are rounded to their stored format before codes are chosen, so codes are nearest for what readers
// will see.
//   symmetric, none:  max|w| / largest code
//   symmetric, mse:   shrink factors 1 … 0.5 of that, for integers with either sign (a negative scale gives
//   the
//                     one code more of the negative side to the positive values) and with the extreme value
//                     on that code. Readers multiply by the scale, whatever its sign
//   asymmetric:       (max − min) / codes with 0 inside the range and an integer zero-point, so 0 stays exact
//   real minima:      (max − min) / codes from the smallest value on; the zero-point is −minimum / scale
//   E8M0 scales:      the power of two that the OCP MX specification takes from max|w|
//   flat + double quantization: bitsandbytes' NF4 and FP4; the scale is the unrounded absmax (`none`) or the
//                     searched one
#pragma once
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "quant/method.h"
#include "quant/methods/scale_search.h"

namespace aquatint::quant {

struct BlockScale {
  float scale = 1, zero = 0;  // value = scale · (code − zero)
};

class BlockRule {
 public:
  // `divisor`: of every scale when it is stored (Scales::super_divides). BadUsage, in the name of `method`,
  // for a scheme that has no rule.
  static std::unique_ptr<const BlockRule> of(const numeric::WeightScheme& scheme, Clip clip,
                                             std::string_view method, float divisor = 1);
  virtual ~BlockRule() = default;

  // What fits the block; the scale as stored, unless it is double quantized.
  virtual BlockScale choose(const Block& block) const = 0;

  // How badly a scale fits (scale_search.h).
  virtual double misfit(const Block& block, const BlockScale& at) const = 0;

  // The nearest that readers can see: of the scale alone where it is double quantized.
  virtual BlockScale stored(BlockScale wanted) const = 0;

  // The nearest code of each value on its own scale, and what that code stands for (`rounded` may be null).
  // Without zero-points `zeros` is null.
  virtual void round(const float* values, const float* scales, const float* zeros, int64_t n, uint8_t* codes,
                     float* rounded) const = 0;
};

// A block's values, and the importance of its columns where it is known, padded with zeros for the search.
class BlockCopy {
 public:
  BlockCopy(int64_t length, bool has_importance)
      : values_(static_cast<size_t>(base::round_up(length, kLanes))),
        importance_(has_importance ? values_.size() : 0) {}
  float* values() { return values_.data(); }
  float* importance() { return importance_.data(); }
  Block block(int64_t size);  // the first `size` values; what is behind them becomes zero

 private:
  std::vector<float> values_, importance_;
};

}  // namespace aquatint::quant
