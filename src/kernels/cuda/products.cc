// The slots for dense products.
#include "kernels/cuda/products.h"

#include <algorithm>

#include "base/bytes.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/slots.h"

namespace aquatint::kernels::cuda {
namespace {

template <class T>
ProductJob<T> job_of(const Product<T>& p) {
  return {p.a, p.a_row, p.b, p.b_row, p.c, p.c_row, p.rows, p.cols, p.depth};
}

// Rows of the inputs that are split at a time: 2 KB for each column and half.
constexpr int64_t kCrossRows = 4096;

// The columns of one operand as two BF16 matrices [cols][depth].
struct Halves {
  uint16_t *high, *low;
};

Halves split(const float* x, int64_t x_row, int64_t rows, int64_t cols, int64_t depth, uint16_t* to) {
  const Halves h = {to, to + cols * depth};
  split_columns({x, x_row, rows, cols, depth, h.high, h.low});
  return h;
}

bool aligned(const CrossProduct& p) {
  return reinterpret_cast<uintptr_t>(p.out) % 16 == 0 && p.out_row % 4 == 0 && p.b_cols % 4 == 0;
}

// One piece of the rows: the products of the halves but the one of both lower ones.
void add_piece(const CrossProduct& p, const float* a, const float* b, int64_t rows) {
  const int64_t depth = base::round_up(rows, 32), b_cols = base::round_up(p.b_cols, 4);
  const bool same = a == b && p.a_row == p.b_row && p.a_cols == p.b_cols && aligned(p);
  const int64_t a_size = 2 * p.a_cols * depth, b_size = same ? 0 : 2 * b_cols * depth;
  auto* halves = static_cast<uint16_t*>(
      workspace(Purpose::linear_input, static_cast<size_t>(a_size + b_size) * sizeof(uint16_t)));
  const Halves left = split(a, p.a_row, rows, p.a_cols, depth, halves);
  Halves right = left;
  if (!same) {
    right = {halves + a_size, halves + a_size + b_cols * depth};
    split_columns({b, p.b_row, rows, p.b_cols, depth, right.high, right.low});
  }
  Gemm g;
  g.type = GemmType::bf16;
  g.m = p.a_cols, g.n = b_cols, g.k = depth;
  g.a_row = g.b_row = depth;
  g.d = p.out, g.d_row = p.out_row;
  g.accumulate = true;
  float* sums = nullptr;
  if (!aligned(p)) {
    const size_t bytes = static_cast<size_t>(p.a_cols * b_cols) * sizeof(float);
    sums = static_cast<float*>(workspace(Purpose::linear_partial, bytes));
    zero(sums, bytes);
    g.d = sums, g.d_row = b_cols;
  }
  for (const auto& [x, y] :
       {std::pair{left.high, right.high}, {left.high, right.low}, {left.low, right.high}}) {
    g.a = x, g.b = y;
    gemm(g);
  }
  if (sums) add_rows({sums, b_cols, p.out, p.out_row, p.a_cols, p.b_cols});
}

}  // namespace

void add_product(const Product<float>& p) { multiply_add(job_of(p)); }
void add_product_fp64(const Product<double>& p) { multiply_add(job_of(p)); }

void add_cross(const CrossProduct& p, base::ThreadPool&) {
  for (int64_t first = 0; first < p.rows; first += kCrossRows)
    add_piece(p, p.a + first * p.a_row, p.b + first * p.b_row, std::min(kCrossRows, p.rows - first));
}

}  // namespace aquatint::kernels::cuda
