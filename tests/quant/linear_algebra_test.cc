#include "quant/linear_algebra.h"

#include <gtest/gtest.h>

#include <cmath>

#include "calibrated_linear.h"

namespace aquatint::quant {
namespace {

struct Machine {
  explicit Machine(int threads, std::string_view kernels = "auto")
      : pool(threads), backend{&kernels::kernel_set(kernels), &pool} {}
  base::ThreadPool pool;
  model::Backend backend;
};

// [cols][cols] in FP64.
std::vector<double> gram_of(const std::vector<float>& x, int64_t cols) {
  std::vector<double> gram(static_cast<size_t>(cols * cols));
  for (size_t row = 0; row < x.size(); row += static_cast<size_t>(cols))
    for (size_t i = 0; i < static_cast<size_t>(cols); ++i)
      for (size_t j = 0; j < static_cast<size_t>(cols); ++j)
        gram[i * static_cast<size_t>(cols) + j] += double{x[row + i]} * x[row + j];
  return gram;
}

std::vector<float> float_gram(int64_t rows, int64_t cols, uint64_t seed, int threads) {
  Machine machine(threads);
  std::vector<float> gram(static_cast<size_t>(cols * cols));
  add_gram(random_values(rows * cols, seed), cols, gram, machine.backend);
  return gram;
}

// Values of size 1 under scales of at most 5 / 4095 are off by up to half of it, either way: their products
// add up like a walk of `rows` steps, of which six are enough (kernels/products_test has the bound for every
// case).
double code_error(int64_t rows) { return 6 * 5.0 / 4095 * std::sqrt(static_cast<double>(rows)) + 1e-3; }

// |products| sum up to about rows; one rounding for each.
double fp32_error(int64_t rows) {
  return 6e-8 * static_cast<double>(rows) * std::sqrt(static_cast<double>(rows)) + 1e-6;
}

// Tiles and pieces of every kind: one, whole ones, remainders.
TEST(Gram, IsTheSumOfOuterProducts) {
  for (const auto& [rows, cols] :
       {std::pair<int64_t, int64_t>{1, 1}, {5, 7}, {33, 256}, {70, 300}, {2100, 20}}) {
    const std::vector<double> want = gram_of(random_values(rows * cols, 1), cols);
    const std::vector<float> got = float_gram(rows, cols, 1, 2);
    for (size_t i = 0; i < want.size(); ++i)
      ASSERT_NEAR(got[i], want[i], code_error(rows)) << rows << " x " << cols << " at " << i;
    for (int64_t i = 0; i < cols; ++i)
      for (int64_t j = 0; j < i; ++j)
        ASSERT_EQ(got[static_cast<size_t>(i * cols + j)], got[static_cast<size_t>(j * cols + i)]);
  }
}

// `bound`: of an element, by the number of rows.
void expect_sums_of_products(decltype(add_cross)& add, double (&bound)(int64_t)) {
  Machine m(2);
  for (const auto& [rows, a_cols, b_cols] :
       {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1}, {300, 5, 130}, {257, 100, 7}, {600, 97, 193}}) {
    const std::vector<float> a = random_values(rows * a_cols, 1), b = random_values(rows * b_cols, 2);
    std::vector<float> got(static_cast<size_t>(a_cols * b_cols), 0.5f);
    add({a.data(), rows, a_cols, a_cols}, {b.data(), rows, b_cols, b_cols},
        {got.data(), a_cols, b_cols, b_cols}, m.backend);
    for (int64_t i = 0; i < a_cols; ++i)
      for (int64_t j = 0; j < b_cols; ++j) {
        double want = 0.5;
        for (int64_t r = 0; r < rows; ++r)
          want += double{a[static_cast<size_t>(r * a_cols + i)]} * b[static_cast<size_t>(r * b_cols + j)];
        ASSERT_NEAR(got[static_cast<size_t>(i * b_cols + j)], want, bound(rows))
            << rows << " rows, " << i << ", " << j;
      }
  }
}

TEST(Cross, IsTheSumOfProductsOfRows) {
  expect_sums_of_products(add_cross, code_error);
  expect_sums_of_products(add_cross_fp32, fp32_error);
}

TEST(Products, MultiplyBySquareMatrices) {
  Machine m(2);
  for (const auto& [rows, n] : {std::pair<int64_t, int64_t>{1, 3}, {65, 40}, {130, 300}}) {
    const std::vector<float> a = random_values(rows * n, 3), b = random_values(n * n, 4);
    const std::vector<float> got = product(a, rows, b, n, m.backend);
    for (int64_t i = 0; i < rows; i += 7)
      for (int64_t j = 0; j < n; j += 3) {
        double want = 0;
        for (int64_t k = 0; k < n; ++k)
          want += double{a[static_cast<size_t>(i * n + k)]} * b[static_cast<size_t>(k * n + j)];
        ASSERT_NEAR(got[static_cast<size_t>(i * n + j)], want, 6e-8 * static_cast<double>(n * n) + 1e-6);
      }
  }
}

TEST(Gram, AddsToWhatIsThere) {
  Machine m(1);
  const std::vector<float> x = random_values(40 * 6, 2), y = random_values(30 * 6, 3);
  std::vector<float> together = x, gram(36), both(36);
  together.insert(together.end(), y.begin(), y.end());
  add_gram(x, 6, gram, m.backend);
  add_gram(y, 6, gram, m.backend);
  add_gram(together, 6, both, m.backend);
  for (size_t i = 0; i < 36; ++i) EXPECT_NEAR(gram[i], both[i], code_error(70));
}

TEST(Gram, DoesNotDependOnThreads) { EXPECT_EQ(float_gram(100, 600, 4, 1), float_gram(100, 600, 4, 3)); }

TEST(InverseCholesky, IsAFactorOfTheInverse) {
  for (const int64_t n : {1, 2, 17, 128, 129, 300}) {
    Machine m(2);
    const std::vector<float> a = float_gram(3 * n, n, 5, 1);
    const double added = 0.5;
    const auto upper = inverse_cholesky(a, n, added, m.backend);
    ASSERT_TRUE(upper);
    // U A Uᵀ = I where Uᵀ U = A⁻¹.
    for (int64_t i = 0; i < n; i += std::max<int64_t>(1, n / 7)) {
      std::vector<double> product(static_cast<size_t>(n));  // row i of U · A
      for (int64_t k = i; k < n; ++k)
        for (int64_t j = 0; j < n; ++j)
          product[static_cast<size_t>(j)] += double{(*upper)[static_cast<size_t>(i * n + k)]} *
                                             (a[static_cast<size_t>(k * n + j)] + (k == j ? added : 0.0));
      for (int64_t j = 0; j < n; ++j) {
        if (j < i) {
          ASSERT_EQ((*upper)[static_cast<size_t>(i * n + j)], 0.0f);
        }
        double sum = 0;
        for (int64_t k = j; k < n; ++k)
          sum += product[static_cast<size_t>(k)] * (*upper)[static_cast<size_t>(j * n + k)];
        ASSERT_NEAR(sum, i == j ? 1.0 : 0.0, 2e-5) << n << ": " << i << ", " << j;
      }
    }
  }
}

TEST(InverseCholesky, DoesNotDependOnThreads) {
  Machine one(1), three(3);
  const std::vector<float> a = float_gram(700, 400, 6, 2);
  EXPECT_EQ(*inverse_cholesky(a, 400, 1, one.backend), *inverse_cholesky(a, 400, 1, three.backend));
}

TEST(InverseCholesky, SeesWhatIsNotPositiveDefinite) {
  Machine m(2);
  std::vector<float> a(200 * 200);
  for (size_t i = 0; i < 200; ++i) a[i * 201] = 1;
  EXPECT_TRUE(inverse_cholesky(a, 200, 0, m.backend));
  a[150 * 201] = -1;
  EXPECT_FALSE(inverse_cholesky(a, 200, 0, m.backend));
  EXPECT_TRUE(inverse_cholesky(a, 200, 1.5, m.backend));
  a[150 * 201] = NAN;
  EXPECT_FALSE(inverse_cholesky(a, 200, 0, m.backend));
}

TEST(Cross, TakesPartsOfMatrices) {
  Machine m(2);
  const std::vector<float> a = random_values(40 * 10, 1), b = random_values(40 * 20, 2);
  std::vector<float> part(10 * 30, 1), whole(4 * 5);
  std::vector<float> few_a, few_b;
  for (size_t row = 8; row < 40; ++row) {
    few_a.insert(few_a.end(), a.begin() + static_cast<int64_t>(row * 10 + 3),
                 a.begin() + static_cast<int64_t>(row * 10 + 7));
    few_b.insert(few_b.end(), b.begin() + static_cast<int64_t>(row * 20 + 11),
                 b.begin() + static_cast<int64_t>(row * 20 + 16));
  }
  add_cross_fp32({a.data() + 83, 32, 4, 10}, {b.data() + 171, 32, 5, 20}, {part.data() + 64, 4, 5, 30},
                 m.backend);
  add_cross_fp32({few_a.data(), 32, 4, 4}, {few_b.data(), 32, 5, 5}, {whole.data(), 4, 5, 5}, m.backend);
  for (size_t i = 0; i < 10; ++i)
    for (size_t j = 0; j < 30; ++j) {
      const bool inside = i >= 2 && i < 6 && j >= 4 && j < 9;
      const float added = inside ? whole[(i - 2) * 5 + j - 4] : 0;
      EXPECT_NEAR(part[i * 30 + j], 1 + added, 1e-5) << i << ", " << j;
    }
}

TEST(QuadraticForm, IsThatOfTheDefinition) {
  Machine m(2);
  for (const auto& [rows, n] : {std::pair<size_t, size_t>{70, 9}, {1, 192}, {513, 193}, {40, 700}}) {
    const std::vector<float> w = random_values(static_cast<int64_t>(rows * n), 9),
                             h = float_gram(20, static_cast<int64_t>(n), 10, 1);
    double want = 0;
    for (size_t row = 0; row < rows; ++row)
      for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j < n; ++j) want += double{w[row * n + i]} * h[i * n + j] * w[row * n + j];
    EXPECT_NEAR(quadratic_form(w, h, static_cast<int64_t>(n), m.backend), want, 1e-5 * want)
        << rows << " x " << n;
  }
}

}  // namespace
}  // namespace aquatint::quant
