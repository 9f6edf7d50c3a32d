// A matrix whose codes are learned by gradient, which passes through the rounding as if it were not there:
// what of it moves, its weights or how they are rounded, is the derived class's.
#pragma once
#include <memory>

#include "quant/methods/block_rule.h"

namespace aquatint::quant {

// Where a run of steps is.
struct Pace {
  int step, steps;
  float left() const { return 1 - static_cast<float>(step) / static_cast<float>(steps); }
};

class LearnedMatrix {
 public:
  // Starts as rtn rounds, with its scales and zero-points. BadUsage, in the name of `method`, for a scheme
  // whose scales rows or groups do not own, each with 16 or 32 bits.
  LearnedMatrix(std::span<const float> weights, int64_t rows, int64_t cols,
                const numeric::WeightScheme& scheme, const MethodOptions& options, std::string_view method,
                base::ThreadPool& pool);
  virtual ~LearnedMatrix() = default;

  int64_t rows() const { return matrix_.rows; }
  int64_t cols() const { return matrix_.cols; }

  // Rows may be handled by different threads.

  // What the row's weights are rounded to now.
  void round(int64_t row, float* values);
  // After round(), by `gradient`, that of the loss by the row's rounded values.
  virtual void step(int64_t row, const float* gradient, const Pace& pace) = 0;
  // The row as it was rounded last is what matrix() will hold, until another is kept.
  void keep(int64_t row);

  tensor::QuantizedMatrix matrix();

 protected:
  // What is rounded of group g, whose first weight is number `begin`, and under which scale.
  virtual float move(size_t g, size_t begin, std::span<float> moved) const = 0;

  // Zero-points and minima stay as rtn has them.
  float zero_under(float scale, size_t g) const;

  numeric::WeightScheme scheme_;
  std::unique_ptr<const BlockRule> rule_;
  int64_t group_ = 0;
  tensor::QuantizedMatrix matrix_;                           // codes are the kept ones
  std::vector<float> first_scales_, zeros_, scales_, kept_;  // by group: rtn's; now; of the kept codes
  std::vector<uint8_t> codes_;                               // now
};

}  // namespace aquatint::quant
