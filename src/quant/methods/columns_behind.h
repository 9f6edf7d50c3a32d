// The weights that GPTQ's loop has not come to yet: what errors of a stretch of columns add to those behind
// it, where the kernels' memory lies.
#pragma once
#include <memory>

#include "quant/linear_algebra.h"

namespace aquatint::quant {

class ColumnsBehind {
 public:
  virtual ~ColumnsBehind() = default;
  // Before columns [begin, end) of w are looked at.
  virtual void fetch(int64_t begin, int64_t end) = 0;
  // w[rows][end, cols) += errorsᵀ · upper[begin, end)[end, cols); errors is [columns][rows].
  virtual void add(const float* errors, int64_t begin, int64_t end) = 0;
};

// `w` [rows][cols] and `upper` [cols][cols] must outlive it. On a device columns are the host's only between
// fetch() and add().
std::unique_ptr<ColumnsBehind> columns_behind(View<float> w, std::span<const float> upper,
                                              const model::Backend& backend);

}  // namespace aquatint::quant
