#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "kernels/ops.h"

namespace aquatint::kernels {
namespace {

template <class T>
std::vector<T> random_values(int64_t n, uint64_t seed) {
  base::Rng rng(seed);
  std::vector<T> values(static_cast<size_t>(n));
  for (T& v : values) v = static_cast<T>(rng.normal());
  return values;
}

void add(const KernelSet& set, const Product<float>& p) { set.add_product(p); }
void add(const KernelSet& set, const Product<double>& p) { set.add_product_fp64(p); }

// Every remainder of the tiles, with strides of their own; what lies between rows stays as it was.
template <class T>
void check(const KernelSet& set, int64_t rows, int64_t cols, int64_t depth) {
  const int64_t a_row = depth + 3, b_row = cols + 5, c_row = cols + 2;
  const auto a = random_values<T>(rows * a_row, 1), b = random_values<T>(depth * b_row, 2);
  const auto before = random_values<T>(rows * c_row, 3);
  auto c = before;
  add(set, Product<T>{a.data(), a_row, b.data(), b_row, c.data(), c_row, rows, cols, depth});
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < c_row; ++j) {
      const auto at = static_cast<size_t>(i * c_row + j);
      double sum = double{before[at]}, size = std::fabs(sum);
      for (int64_t k = 0; k < depth && j < cols; ++k) {
        const double term =
            double{a[static_cast<size_t>(i * a_row + k)]} * double{b[static_cast<size_t>(k * b_row + j)]};
        sum += term;
        size += std::fabs(term);
      }
      // One rounding for each term of the chain.
      const double bound =
          j < cols ? static_cast<double>(depth + 1) * std::numeric_limits<T>::epsilon() * size : 0;
      ASSERT_NEAR(double{c[at]}, sum, bound) << set.name << " " << rows << " x " << cols << " x " << depth;
    }
}

TEST(Products, AreThoseOfTheDefinition) {
  for (const KernelSet* set : kernel_sets()) {
    if (!set->usable()) continue;
    for (const int64_t rows : {1, 7, 8, 9, 21})
      for (const int64_t cols : {1, 8, 15, 16, 48, 49, 100})
        for (const int64_t depth : {1, 5, 64}) {
          check<float>(*set, rows, cols, depth);
          check<double>(*set, rows, cols, depth);
        }
  }
}

TEST(Products, DepthInPiecesGivesTheSameBits) {
  for (const KernelSet* set : kernel_sets()) {
    if (!set->usable() || set->name == "ref") continue;  // whose sums are double
    const auto a = random_values<float>(9 * 64, 4), b = random_values<float>(64 * 50, 5);
    std::vector<float> whole(9 * 50), pieces(9 * 50);
    set->add_product({a.data(), 64, b.data(), 50, whole.data(), 50, 9, 50, 64});
    set->add_product({a.data(), 64, b.data(), 50, pieces.data(), 50, 9, 50, 17});
    set->add_product({a.data() + 17, 64, b.data() + 17 * 50, 50, pieces.data(), 50, 9, 50, 47});
    EXPECT_EQ(whole, pieces) << set->name;
  }
}

}  // namespace
}  // namespace aquatint::kernels
