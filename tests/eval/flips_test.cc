#include "eval/flips.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace aquatint::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Flips, AreFoundByIndex) {
  const std::vector<bool> reference = {true, true, false, false, true, false};
  const std::vector<bool> model = {true, false, true, false, false, true};
  const Flips found = flips(model, reference);
  EXPECT_THAT(found.lost, ElementsAre(1, 4));
  EXPECT_THAT(found.gained, ElementsAre(2, 5));
  EXPECT_THAT(flips(model, model).lost, IsEmpty());
  EXPECT_THAT(flips(model, model).gained, IsEmpty());
}

double log_factorial(int64_t n) { return std::lgamma(static_cast<double>(n) + 1); }

// Probability of b and c flips among n items of which shares p and q flip.
double trinomial(int64_t n, int64_t b, int64_t c, double p, double q) {
  const double ways = log_factorial(n) - log_factorial(b) - log_factorial(c) - log_factorial(n - b - c);
  const auto power = [](double share, int64_t count) {
    return count == 0 ? 0 : static_cast<double>(count) * std::log(share);
  };
  return std::exp(ways + power(p, b) + power(q, c) + power(1 - p - q, n - b - c));
}

// Exact probability that the 95 % interval covers p − q.
double coverage(int64_t n, double p, double q) {
  const auto range = [n](double share) {
    const double mean = static_cast<double>(n) * share, spread = 6 * std::sqrt(mean) + 6;
    return std::pair(std::max(int64_t{0}, static_cast<int64_t>(mean - spread)),
                     share > 0 ? std::min(n, static_cast<int64_t>(mean + spread)) : int64_t{0});
  };
  double covered = 0;
  for (int64_t b = range(p).first; b <= range(p).second; ++b)
    for (int64_t c = range(q).first; c <= std::min(range(q).second, n - b); ++c) {
      const double probability = trinomial(n, b, c, p, q);
      if (probability < 1e-8) continue;
      const PairedDifference found = paired_proportion_interval(b, c, n);
      if (found.low <= p - q && p - q <= found.high) covered += probability;
    }
  return covered;
}

TEST(PairedProportions, CoverAtLeastTheirLevel) {
  for (const int64_t n : {50, 200, 1000})
    for (const double flipped : {0.02, 0.05, 0.1, 0.3})
      for (const double lost : {0.5, 0.75, 1.0}) {
        const double found = coverage(n, flipped * (1 - lost), flipped * lost);
        SCOPED_TRACE(testing::Message() << n << " items, flipped " << flipped << ", of these lost " << lost);
        EXPECT_GE(found, 0.9495);
        EXPECT_LE(found, static_cast<double>(n) * flipped >= 30 ? 0.97 : 1);
      }
}

// 2 against 8 of 50: z = (b − c − n·δ) / √(n (2 q + δ (1 − δ))) is −1.96 and 1.96 at the ends of Tango's
// interval, with q the root of 2n q² − (b + c − (2n − b + c) δ) q − c δ (1 − δ) = 0.
TEST(PairedProportions, EndWhereTheScoreTestRejects) {
  const PairedDifference found = paired_proportion_interval(2, 8, 50);
  EXPECT_DOUBLE_EQ(found.mean, -0.12);
  EXPECT_NEAR(found.standard_error, std::sqrt((0.2 - 0.0144) / 49), 1e-12);
  const auto score = [](double b, double c, double n, double delta) {
    const double linear = b + c - (2 * n - b + c) * delta;
    const double q = (linear + std::sqrt(linear * linear + 8 * n * c * delta * (1 - delta))) / (4 * n);
    return (b - c - n * delta) / std::sqrt(n * (2 * q + delta * (1 - delta)));
  };
  EXPECT_NEAR(score(2, 8, 50, found.low), 1.959964, 1e-5);
  // Above, the adjusted Wald interval reaches farther: (3 − 9) / 52 + z √((12 − 36 / 52) / 52²).
  EXPECT_NEAR(found.high, -6.0 / 52 + 1.959964 * std::sqrt(12 - 36.0 / 52) / 52, 1e-7);
}

TEST(PairedProportions, MirrorWhenTheModelsAreSwapped) {
  const PairedDifference one = paired_proportion_interval(2, 8, 50),
                         other = paired_proportion_interval(8, 2, 50);
  EXPECT_DOUBLE_EQ(one.low, -other.high);
  EXPECT_DOUBLE_EQ(one.high, -other.low);
  EXPECT_GT(paired_proportion_interval(2, 8, 50, 0.99).high, one.high);
  const PairedDifference all = paired_proportion_interval(5, 0, 5);
  EXPECT_DOUBLE_EQ(all.high, 1);
  EXPECT_GT(all.low, 0);
}

TEST(PairedProportions, CountTheFlipsOfTheAnswers) {
  const std::vector<bool> first = {true, true, false, false}, second = {false, true, true, false};
  const PairedDifference counted = paired_proportion_interval(1, 1, 4);
  EXPECT_DOUBLE_EQ(paired_proportion_interval(first, second).low, counted.low);
  EXPECT_TRUE(std::isnan(paired_proportion_interval(0, 0, 0).low));
}

TEST(PairedProportions, NoFlipsHaveAWidth) {
  // Tango's score without flips: δ = ± z² / (n + z²); at 100 items wider than the adjusted Wald interval.
  const PairedDifference none = paired_proportion_interval(0, 0, 100);
  EXPECT_DOUBLE_EQ(none.mean, 0);
  EXPECT_NEAR(none.high, 3.841459 / 103.841459, 1e-7);
  EXPECT_DOUBLE_EQ(none.low, -none.high);
}

}  // namespace
}  // namespace aquatint::eval
