#include "eval/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace aquatint::eval {
namespace {

TEST(Statistics, QuantileInterpolates) {
  std::vector<double> values = {4, 1, 3, 2};
  EXPECT_DOUBLE_EQ(quantile(values, 0), 1);
  EXPECT_DOUBLE_EQ(quantile(values, 1), 4);
  EXPECT_DOUBLE_EQ(quantile(values, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(quantile(values, 0.99), 3.97);
  std::vector<double> none;
  EXPECT_TRUE(std::isnan(quantile(none, 0.5)));
}

// Two-sided 95 % and 99 % values of the usual tables.
TEST(Statistics, StudentsT) {
  EXPECT_NEAR(student_t(0.95, 1), 12.7062, 1e-4);
  EXPECT_NEAR(student_t(0.95, 7), 2.364624, 1e-6);
  EXPECT_NEAR(student_t(0.99, 30), 2.749996, 1e-6);
  EXPECT_NEAR(student_t(0.95, 1e6), 1.959966, 1e-5);
  EXPECT_TRUE(std::isnan(student_t(0.95, 0)));
}

TEST(Statistics, NormalQuantilesAndStudentsP) {
  EXPECT_NEAR(normal_quantile(0.95), 1.959963985, 1e-8);
  EXPECT_NEAR(normal_quantile(0.99), 2.575829304, 1e-8);
  EXPECT_NEAR(student_p(-2.364624, 7), 0.05, 1e-7);
  EXPECT_DOUBLE_EQ(student_p(0, 7), 1);
  EXPECT_NEAR(student_p(1, 1), 0.5, 1e-12);  // Cauchy
}

TEST(Statistics, PairedDifference) {
  const std::vector<double> a = {1, 2, 3, 4}, b = {0, 2, 1, 4};
  const PairedDifference difference = paired_difference(a, b);
  EXPECT_DOUBLE_EQ(difference.mean, 0.75);
  EXPECT_NEAR(difference.standard_error, std::sqrt((0.0625 + 0.5625 + 1.5625 + 0.5625) / 12), 1e-12);
  EXPECT_NEAR(difference.high - difference.mean, 3.182446 * difference.standard_error, 1e-5);
  EXPECT_DOUBLE_EQ(difference.mean - difference.low, difference.high - difference.mean);
}

TEST(Statistics, McNemar) {
  // 1 against 9 discordant pairs: 2 · (C(10,0) + C(10,1)) / 2^10.
  std::vector<bool> first(20, true), second(20, true);
  for (size_t i = 0; i < 9; ++i) first[i] = false;
  second[12] = false;
  const McNemar result = mcnemar(first, second);
  EXPECT_EQ(result.only_first, 1);
  EXPECT_EQ(result.only_second, 9);
  EXPECT_NEAR(result.p, 22.0 / 1024, 1e-12);
  EXPECT_DOUBLE_EQ(mcnemar(first, first).p, 1);
  // 0 against 5: 2 / 2^5. 3 against 3: more than 1 before the cut.
  EXPECT_NEAR(mcnemar({false, false, false, false, false}, {true, true, true, true, true}).p, 2.0 / 32,
              1e-12);
  EXPECT_DOUBLE_EQ(
      mcnemar({true, true, true, false, false, false}, {false, false, false, true, true, true}).p, 1);
}

}  // namespace
}  // namespace aquatint::eval
