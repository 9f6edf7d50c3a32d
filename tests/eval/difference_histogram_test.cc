#include "eval/difference_histogram.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"

namespace aquatint::eval {
namespace {

TEST(DifferenceHistogram, CountsBinsAndBand) {
  const std::vector<double> points = {0, 0.4, -0.4, 1, -2, 2.1, 30, -11};
  const DifferenceHistogram found = difference_histogram(points);
  ASSERT_EQ(found.bins.size(), 21u);
  const auto count = [&](int centre) { return found.bins[static_cast<size_t>(centre + 10)].count; };
  EXPECT_EQ(found.bins.front().centre, -10);
  EXPECT_EQ(found.bins.back().centre, 10);
  EXPECT_EQ(count(0), 3);
  EXPECT_EQ(count(1), 1);
  EXPECT_EQ(count(-2), 1);
  EXPECT_EQ(count(2), 1);
  EXPECT_EQ(count(10), 1);
  EXPECT_EQ(count(-10), 1);
  EXPECT_DOUBLE_EQ(found.share_in_band, 5.0 / 8);
  EXPECT_NEAR(found.mean, 20.1 / 8, 1e-12);
}

TEST(DifferenceHistogram, TestsTheMean) {
  // mean −1, standard deviation √2.5, t = −1 / √(2.5 / 5) = −√2 at 4 degrees of freedom.
  const DifferenceHistogram found = difference_histogram(std::vector<double>{-3, -2, -1, 0, 1});
  EXPECT_NEAR(found.standard_error, std::sqrt(0.5), 1e-12);
  EXPECT_NEAR(found.p, 0.2302, 1e-4);
  EXPECT_DOUBLE_EQ(difference_histogram(std::vector<double>{0, 0, 0}).p, 1);
  EXPECT_DOUBLE_EQ(difference_histogram(std::vector<double>{-1, 1}).p, 1);
  EXPECT_EQ(difference_histogram(std::vector<double>{2, 2, 2}).p, 0);
  EXPECT_TRUE(std::isnan(difference_histogram(std::vector<double>{2}).p));
}

TEST(DifferenceHistogram, RejectsAtItsLevel) {
  base::Rng rng(29);
  int rejected = 0;
  for (int sample = 0; sample < 2000; ++sample) {
    std::vector<double> points(10);
    for (double& point : points) point = 1.5 * rng.normal();
    rejected += difference_histogram(points).p < 0.05;
  }
  EXPECT_NEAR(rejected / 2000.0, 0.05, 0.015);
}

}  // namespace
}  // namespace aquatint::eval
