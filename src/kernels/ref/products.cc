#include "kernels/ref/ref.h"

#include <algorithm>
#include <cmath>

namespace aquatint::kernels::ref {
namespace {

template <class T>
void add(const Product<T>& p) {
  for (int64_t i = 0; i < p.rows; ++i)
    for (int64_t j = 0; j < p.cols; ++j) {
      double sum = double{p.c[i * p.c_row + j]};
      for (int64_t k = 0; k < p.depth; ++k)
        sum += double{p.a[i * p.a_row + k]} * double{p.b[k * p.b_row + j]};
      p.c[i * p.c_row + j] = static_cast<T>(sum);
    }
}

}  // namespace

void add_product(const Product<float>& p) { add(p); }
void add_product_fp64(const Product<double>& p) { add(p); }

void add_cross(const CrossProduct& p, base::ThreadPool&) {
  for (int64_t i = 0; i < p.a_cols; ++i)
    for (int64_t j = 0; j < (p.lower ? i + 1 : p.b_cols); ++j) {
      double sum = double{p.out[i * p.out_row + j]};
      for (int64_t k = 0; k < p.rows; ++k) sum += double{p.a[k * p.a_row + i]} * double{p.b[k * p.b_row + j]};
      p.out[i * p.out_row + j] = static_cast<float>(sum);
    }
}

void add_magnitudes(const float* x, int64_t rows, int64_t cols, const Magnitudes& to, base::ThreadPool&) {
  for (int64_t i = 0; i < rows * cols; ++i) {
    const float magnitude = std::fabs(x[i]);
    to.sums[i % cols] += double{magnitude};
    to.squares[i % cols] += double{magnitude} * double{magnitude};
    to.largest[i % cols] = std::max(to.largest[i % cols], magnitude);
  }
}

}  // namespace aquatint::kernels::ref
