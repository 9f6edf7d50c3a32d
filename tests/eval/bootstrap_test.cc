#include "eval/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"

namespace aquatint::eval {
namespace {

// Share of samples whose 95 % interval covers the true mean of the differences.
double coverage(double (*draw)(base::Rng&), double truth, size_t n) {
  constexpr int kSamples = 1500;
  base::Rng rng(17);
  int covered = 0;
  for (int s = 0; s < kSamples; ++s) {
    std::vector<double> a(n), b(n);
    for (size_t i = 0; i < n; ++i) {
      b[i] = rng.normal();  // what the pairs share
      a[i] = b[i] + draw(rng);
    }
    const PairedDifference found = paired_bootstrap(a, b, {.resamples = 300, .seed = rng.next()});
    covered += found.low <= truth && truth <= found.high;
  }
  return static_cast<double>(covered) / kSamples;
}

double gaussian(base::Rng& rng) { return 0.3 + rng.normal(); }
double exponential(base::Rng& rng) { return -std::log(1 - rng.uniform()); }
double lognormal(base::Rng& rng) { return std::exp(0.5 * rng.normal()); }
double mostly_zero(base::Rng& rng) { return rng.uniform() < 0.2 ? rng.normal() : 0; }
// A tenth of the pairs carries the mean, as where quantization spoils a few items.
double few_carry(base::Rng& rng) { return rng.uniform() < 0.1 ? 0.5 + rng.normal() : 0.1 * rng.normal(); }

TEST(PairedBootstrap, CoversAtItsLevel) {
  struct {
    const char* name;
    double (*draw)(base::Rng&);
    double truth;
    std::vector<size_t> sizes;
  } const cases[] = {{"normal", gaussian, 0.3, {20, 50}},
                     {"exponential", exponential, 1, {20, 50}},
                     {"lognormal", lognormal, std::exp(0.125), {20, 50}},
                     {"mostly zero", mostly_zero, 0, {200}},
                     {"few carry", few_carry, 0.05, {200}}};
  for (const auto& c : cases)
    for (const size_t n : c.sizes) {
      const double found = coverage(c.draw, c.truth, n);
      EXPECT_GE(found, 0.93) << c.name << ", " << n << " pairs";
      EXPECT_LE(found, 0.97) << c.name << ", " << n << " pairs";
    }
}

TEST(PairedBootstrap, OfEqualPairsIsAPoint) {
  const std::vector<double> a = {1, 2, 5, 7};
  const PairedDifference none = paired_bootstrap(a, a);
  EXPECT_EQ(none.mean, 0);
  EXPECT_EQ(none.low, 0);
  EXPECT_EQ(none.high, 0);
  EXPECT_TRUE(std::isnan(paired_bootstrap(std::span(a).first(1), std::span(a).first(1)).low));
}

TEST(PairedBootstrap, IsDeterministicForASeed) {
  base::Rng rng(3);
  std::vector<double> a(40), b(40, 0.0);
  for (double& value : a) value = rng.normal();
  const PairedDifference first = paired_bootstrap(a, b), second = paired_bootstrap(a, b);
  EXPECT_EQ(first.low, second.low);
  EXPECT_NE(first.low, paired_bootstrap(a, b, {.seed = 5}).low);
  // Close to Student's t for normal differences, and wider at a higher confidence.
  const PairedDifference student = paired_difference(a, b);
  EXPECT_NEAR(first.high - first.mean, student.high - student.mean, 0.15 * (student.high - student.mean));
  EXPECT_GT(paired_bootstrap(a, b, {.confidence = 0.99}).high, first.high);
}

}  // namespace
}  // namespace aquatint::eval
