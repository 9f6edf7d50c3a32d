#include "kernels/ref/ref.h"

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

}  // namespace aquatint::kernels::ref
