#include "base/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace aquatint::base {
namespace {

TEST(Statistics, SampleStandardDeviationAndMedian) {
  const std::vector<double> values = {2, 4, 4, 4, 5, 5, 7, 9};
  const Summary s = summarize(values);
  EXPECT_DOUBLE_EQ(s.mean, 5);
  EXPECT_DOUBLE_EQ(s.std, std::sqrt(32.0 / 7));  // squares of the deviations sum to 32
  EXPECT_DOUBLE_EQ(s.median, 4.5);
  EXPECT_EQ(s.min, 2);
  EXPECT_EQ(s.max, 9);
  EXPECT_DOUBLE_EQ(standard_error(values), std::sqrt(32.0 / 7 / 8));
  EXPECT_EQ(summarize(std::vector<double>{3, 1, 2}).median, 2);
}

TEST(Statistics, TooFewValuesAreNotANumber) {
  EXPECT_TRUE(std::isnan(summarize({}).mean));
  EXPECT_EQ(summarize(std::vector<double>{3}).mean, 3);
  EXPECT_TRUE(std::isnan(summarize(std::vector<double>{3}).std));
  EXPECT_TRUE(std::isnan(standard_error(std::vector<double>{3})));
}

TEST(Statistics, RankCorrelation) {
  const std::vector<double> a = {1, 2, 3, 4, 5}, cubes = {1, 8, 27, 64, 125}, down = {9, 7, 5, 3, 1};
  EXPECT_DOUBLE_EQ(rank_correlation(a, cubes), 1);
  EXPECT_DOUBLE_EQ(rank_correlation(a, down), -1);
  // Ranks 1.5, 1.5, 3 and 1, 2, 3: covariance 1.5 over √(1.5 · 2).
  EXPECT_DOUBLE_EQ(rank_correlation(std::vector<double>{4, 4, 6}, std::vector<double>{1, 2, 3}),
                   1.5 / std::sqrt(1.5 * 2));
  EXPECT_TRUE(std::isnan(rank_correlation(a, std::vector<double>(5, 1.0))));
}

}  // namespace
}  // namespace aquatint::base
