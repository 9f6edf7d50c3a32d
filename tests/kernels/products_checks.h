// What every set's dense products are tested for; the including file says which sets.
#pragma once
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

class Products : public testing::TestWithParam<const KernelSet*> {};
class Cross : public Products {};
class ColumnMagnitudes : public Products {};

TEST_P(Products, AreThoseOfTheDefinition) {
  const KernelSet* set = GetParam();
  for (const int64_t rows : {1, 7, 8, 9, 21})
    for (const int64_t cols : {1, 8, 15, 16, 48, 49, 100})
      for (const int64_t depth : {1, 5, 64}) {
        check<float>(*set, rows, cols, depth);
        check<double>(*set, rows, cols, depth);
      }
}

TEST_P(Products, DepthInPiecesGivesTheSameBits) {
  const KernelSet* set = GetParam();
  if (set->name == "ref") return;  // whose sums are double
  const auto a = random_values<float>(9 * 64, 4), b = random_values<float>(64 * 50, 5);
  std::vector<float> whole(9 * 50), pieces(9 * 50);
  set->add_product({a.data(), 64, b.data(), 50, whole.data(), 50, 9, 50, 64});
  set->add_product({a.data(), 64, b.data(), 50, pieces.data(), 50, 9, 50, 17});
  set->add_product({a.data() + 17, 64, b.data() + 17 * 50, 50, pieces.data(), 50, 9, 50, 47});
  EXPECT_EQ(whole, pieces) << set->name;
}

// Of column `col` in the run of rows that `row` is in: half of a code's worth, what rounding moves a value by
// at most.
double half_code(const std::vector<float>& x, int64_t stride, int64_t rows, int64_t row, int64_t col) {
  const int64_t begin = row / kCrossRun * kCrossRun;
  float most = 0;
  for (int64_t r = begin; r < std::min(rows, begin + kCrossRun); ++r)
    most = std::max(most, std::fabs(x[static_cast<size_t>(r * stride + col)]));
  return double{most} / 4095 / 2;
}

// Strides of their own, every remainder of strips, runs and pieces; columns whose sizes differ by orders of
// magnitude, and one that is zero. What lies between rows stays as it was.
void check_cross(const KernelSet& set, int64_t rows, int64_t a_cols, int64_t b_cols, base::ThreadPool& pool) {
  const int64_t a_row = a_cols + 3, b_row = b_cols + 1, out_row = b_cols + 2;
  auto a = random_values<float>(rows * a_row, 1), b = random_values<float>(rows * b_row, 2);
  for (int64_t r = 0; r < rows; ++r) {
    a[static_cast<size_t>(r * a_row)] *= r % 300 == 0 ? 1e6f : 1e-3f;
    b[static_cast<size_t>(r * b_row + b_cols - 1)] = 0;
  }
  const auto before = random_values<float>(a_cols * out_row, 3);
  auto out = before;
  set.add_cross({a.data(), a_row, a_cols, b.data(), b_row, b_cols, rows, out.data(), out_row}, pool);
  for (int64_t i = 0; i < a_cols; ++i)
    for (int64_t j = 0; j < out_row; ++j) {
      const auto at = static_cast<size_t>(i * out_row + j);
      double sum = double{before[at]}, size = std::fabs(sum), moved = 0;
      for (int64_t r = 0; r < rows && j < b_cols; ++r) {
        const double x = double{a[static_cast<size_t>(r * a_row + i)]},
                     y = double{b[static_cast<size_t>(r * b_row + j)]};
        const double dx = half_code(a, a_row, rows, r, i), dy = half_code(b, b_row, rows, r, j);
        sum += x * y;
        size += std::fabs(x * y);
        moved += std::fabs(x) * dy + std::fabs(y) * dx + dx * dy;
      }
      // A rounding of each run's sum, its scale and its addition, and of every piece's.
      const double roundings = static_cast<double>(3 + 2 * (rows / kCrossRun + 1));
      const double bound =
          j < b_cols ? moved + roundings * std::numeric_limits<float>::epsilon() * (size + moved) : 0;
      ASSERT_NEAR(double{out[at]}, sum, bound)
          << set.name << " " << rows << " x " << a_cols << " x " << b_cols;
    }
}

TEST_P(Cross, IsThatOfTheDefinition) {
  base::ThreadPool pool(2);
  const KernelSet* set = GetParam();
  for (const int64_t rows : {1, 2, 127, 129, 600})
    for (const auto& [a_cols, b_cols] : {std::pair<int64_t, int64_t>{1, 1}, {5, 17}, {17, 49}, {100, 33}})
      check_cross(*set, rows, a_cols, b_cols, pool);
}

// The lower part has the bits of the whole, whatever the threads.
TEST_P(Cross, LowerPartIsThatOfTheWhole) {
  base::ThreadPool one(1), three(3);
  constexpr int64_t kCols = 130, kRows = 700;
  const auto x = random_values<float>(kRows * kCols, 4);
  const KernelSet* set = GetParam();
  std::vector<float> whole(kCols * kCols), lower(kCols * kCols);
  set->add_cross({x.data(), kCols, kCols, x.data(), kCols, kCols, kRows, whole.data(), kCols}, one);
  set->add_cross({x.data(), kCols, kCols, x.data(), kCols, kCols, kRows, lower.data(), kCols, true}, three);
  for (size_t i = 0; i < kCols; ++i)
    for (size_t j = 0; j <= i; ++j) ASSERT_EQ(whole[i * kCols + j], lower[i * kCols + j]) << set->name;
}

struct FoundMagnitudes {
  explicit FoundMagnitudes(int64_t cols)
      : sums(static_cast<size_t>(cols)), squares(sums.size()), largest(sums.size()) {}
  Magnitudes to() { return {sums.data(), squares.data(), largest.data()}; }
  bool operator==(const FoundMagnitudes&) const = default;

  std::vector<double> sums, squares;
  std::vector<float> largest;
};

TEST_P(ColumnMagnitudes, AreThoseOfTheDefinition) {
  base::ThreadPool pool(2);
  for (const int64_t rows : {1, 31, 32, 33, 200, 1100})
    for (const int64_t cols : {1, 15, 16, 64, 65, 150}) {
      const auto x = random_values<float>(rows * cols, 7);
      FoundMagnitudes found(cols);
      for (size_t c = 0; c < found.sums.size(); ++c)
        found.sums[c] = 3, found.largest[c] = c % 2 ? 9.0f : 0.0f;
      GetParam()->add_magnitudes(x.data(), rows, cols, found.to(), pool);
      for (int64_t c = 0; c < cols; ++c) {
        const auto at = static_cast<size_t>(c);
        double sum = 3, square = 0;
        float largest = c % 2 ? 9.0f : 0.0f;
        for (int64_t r = 0; r < rows; ++r) {
          const float v = std::fabs(x[static_cast<size_t>(r * cols + c)]);
          sum += double{v}, square += double{v} * double{v}, largest = std::max(largest, v);
        }
        // A rounding for each square and each of the sums of FP32.
        constexpr double kRounding = (kMagnitudeRows + 1) * 0.5 * std::numeric_limits<float>::epsilon();
        ASSERT_NEAR(found.sums[at], sum, kRounding * sum) << GetParam()->name << " " << rows << " x " << cols;
        ASSERT_NEAR(found.squares[at], square, kRounding * square) << rows << " x " << cols;
        ASSERT_EQ(found.largest[at], largest) << rows << " x " << cols;
      }
    }
}

// Whatever the threads; NaN and infinity reach the sums of their column alone.
TEST_P(ColumnMagnitudes, AreTheSameWhateverTheThreads) {
  base::ThreadPool one(1), three(3);
  auto x = random_values<float>(700 * 130, 8);
  const KernelSet* set = GetParam();
  FoundMagnitudes of_one(130), of_three(130);
  set->add_magnitudes(x.data(), 700, 130, of_one.to(), one);
  set->add_magnitudes(x.data(), 700, 130, of_three.to(), three);
  EXPECT_EQ(of_one, of_three) << set->name;
  x[130 * 5 + 20] = std::nanf("");
  x[130 * 699 + 129] = -std::numeric_limits<float>::infinity();
  FoundMagnitudes odd(130);
  set->add_magnitudes(x.data(), 700, 130, odd.to(), three);
  for (size_t c = 0; c < 130; ++c)
    EXPECT_EQ(std::isfinite(odd.sums[c]), c != 20 && c != 129) << set->name << " " << c;
}

std::string product_set_name(const testing::TestParamInfo<const KernelSet*>& info) {
  return std::string(info.param->name);
}

}  // namespace
}  // namespace aquatint::kernels
