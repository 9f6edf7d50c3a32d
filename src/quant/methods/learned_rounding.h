// Rounding that is learned (SignRound, Cheng et al., arXiv 2309.05516): each weight gets an offset in
// [−0.5, 0.5] steps before it is rounded, each group a factor on its scale, and both follow the sign of the
// loss's gradient, which passes through the rounding as if it were not there.
#pragma once
#include <memory>

#include "quant/methods/block_rule.h"

namespace aquatint::quant {

class LearnedRounding {
 public:
  // Starts as rtn rounds; `importance` (may be empty) weighs the search of the first scales. BadUsage, in the
  // name of `method`, for anything but integers in groups or rows under scales of 16 or 32 bits.
  LearnedRounding(std::span<const float> weights, int64_t rows, int64_t cols,
                  const numeric::WeightScheme& scheme, const MethodOptions& options, std::string_view method,
                  base::ThreadPool& pool);

  int64_t rows() const { return matrix_.rows; }
  int64_t cols() const { return matrix_.cols; }

  // Rows may be handled by different threads.

  // What the row's weights are rounded to now.
  void round(int64_t row, float* values);
  // After round(): moves by `rate` against `gradient`, that of the loss by the row's rounded values.
  void step(int64_t row, const float* gradient, float rate);
  // The row as it was rounded last is what matrix() will hold, until another is kept.
  void keep(int64_t row);

  tensor::QuantizedMatrix matrix();

 private:
  // Zero-points and minima stay as rtn has them.
  float zero_under(float scale, size_t group) const;

  std::span<const float> weights_;
  numeric::WeightScheme scheme_;
  std::unique_ptr<const BlockRule> rule_;
  int64_t group_;
  tensor::QuantizedMatrix matrix_;                           // codes are the kept ones
  std::vector<float> offsets_, factors_;                     // by weight, by group
  std::vector<float> first_scales_, zeros_, scales_, kept_;  // by group: rtn's; now; of the kept codes
  std::vector<uint8_t> codes_;                               // now
};

}  // namespace aquatint::quant
