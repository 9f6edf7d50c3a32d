// Dense products outside of linears; operands of any stride and alignment.
#pragma once
#include <cstdint>

namespace aquatint::kernels::cuda {

// c[rows][cols] += a[rows][depth] · b[depth][cols].
template <class T>
struct ProductJob {
  const T* a = nullptr;
  int64_t a_row = 0;
  const T* b = nullptr;
  int64_t b_row = 0;
  T* c = nullptr;
  int64_t c_row = 0;
  int64_t rows = 0, cols = 0, depth = 0;
};
void multiply_add(const ProductJob<float>& job);
void multiply_add(const ProductJob<double>& job);

// x[rows][cols], turned: high[col][row] + low[col][row] ≈ x[row][col], both BF16, to 2^−18 of it; zeros from
// `rows` to `depth`, the length of a row of high and low (a multiple of 32).
struct SplitJob {
  const float* x = nullptr;
  int64_t x_row = 0, rows = 0, cols = 0, depth = 0;
  uint16_t *high = nullptr, *low = nullptr;
};
void split_columns(const SplitJob& job);

// to[rows][cols] += from[rows][cols].
struct AddJob {
  const float* from = nullptr;
  int64_t from_row = 0;
  float* to = nullptr;
  int64_t to_row = 0;
  int64_t rows = 0, cols = 0;
};
void add_rows(const AddJob& job);

}  // namespace aquatint::kernels::cuda
