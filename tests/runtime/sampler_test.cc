#include "runtime/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "base/error.h"

namespace aquatint::runtime {
namespace {

using ::testing::ElementsAre;

const std::vector<float> kLogits = {1.0f, 3.0f, 2.0f, -1.0f, 3.0f, 0.0f};

std::map<int32_t, int> draw(const SamplingOptions& options, int count) {
  Sampler sampler(options);
  std::map<int32_t, int> counts;
  for (int i = 0; i < count; ++i) ++counts[sampler.sample(kLogits)];
  return counts;
}

std::set<int32_t> drawn(const SamplingOptions& options) {
  std::set<int32_t> tokens;
  for (const auto& [token, count] : draw(options, 4000)) tokens.insert(token);
  return tokens;
}

TEST(Sampler, GreedyTakesTheFirstLargest) {
  Sampler sampler({});
  EXPECT_EQ(sampler.sample(kLogits), 1);
  EXPECT_EQ(Sampler({.temperature = 1, .top_k = 1, .seed = 3}).sample(std::vector<float>{0, 5, 4}), 1);
}

// Frequencies against softmax(logits / T), within five standard deviations of a binomial count.
TEST(Sampler, DrawsFromTheSoftmax) {
  for (float temperature : {0.5f, 1.0f, 2.0f}) {
    constexpr int kDraws = 40000;
    const auto counts = draw({.temperature = temperature, .seed = 11}, kDraws);
    double total = 0;
    for (float logit : kLogits) total += std::exp(logit / temperature);
    for (size_t i = 0; i < kLogits.size(); ++i) {
      const double p = std::exp(kLogits[i] / temperature) / total;
      const auto found = counts.find(static_cast<int32_t>(i));
      const double got = found == counts.end() ? 0 : found->second;
      EXPECT_NEAR(got, kDraws * p, 5 * std::sqrt(kDraws * p * (1 - p)))
          << "T " << temperature << " token " << i;
    }
  }
}

TEST(Sampler, TopKKeepsEqualsOfTheKth) {
  EXPECT_THAT(drawn({.temperature = 1, .top_k = 1}), ElementsAre(1, 4));
  EXPECT_THAT(drawn({.temperature = 1, .top_k = 3}), ElementsAre(1, 2, 4));
  EXPECT_THAT(drawn({.temperature = 3, .top_k = 100}), ElementsAre(0, 1, 2, 3, 4, 5));
}

// Probabilities at temperature 1: 0.400 (twice), 0.147, 0.054, 0.020, 0.007.
TEST(Sampler, TopPKeepsTheTokenThatReachesIt) {
  EXPECT_THAT(drawn({.temperature = 1, .top_p = 0.1f}), ElementsAre(1));
  EXPECT_THAT(drawn({.temperature = 1, .top_p = 0.7f}), ElementsAre(1, 4));
  EXPECT_THAT(drawn({.temperature = 1, .top_p = 0.81f}), ElementsAre(1, 2, 4));
  EXPECT_THAT(drawn({.temperature = 1, .top_p = 0.96f}), ElementsAre(0, 1, 2, 4));
}

// Top-p looks at what top-k leaves, rescaled: of {0.5, 0.5} one token reaches 0.45.
TEST(Sampler, TopPComesAfterTopK) {
  EXPECT_THAT(drawn({.temperature = 1, .top_k = 2, .top_p = 0.45f}), ElementsAre(1));
  EXPECT_THAT(drawn({.temperature = 1, .top_p = 0.45f}), ElementsAre(1, 4));
}

TEST(Sampler, SeedAndSequenceDecide) {
  const auto series = [](uint64_t seed, uint64_t sequence) {
    Sampler sampler({.temperature = 1, .seed = seed}, sequence);
    std::vector<int32_t> tokens;
    for (int i = 0; i < 50; ++i) tokens.push_back(sampler.sample(kLogits));
    return tokens;
  };
  EXPECT_EQ(series(1, 0), series(1, 0));
  EXPECT_NE(series(1, 0), series(2, 0));
  EXPECT_NE(series(1, 0), series(1, 1));
}

TEST(Sampler, RejectsBadOptions) {
  EXPECT_THROW(Sampler({.temperature = -1}), base::BadUsage);
  EXPECT_THROW(Sampler({.temperature = std::nanf("")}), base::BadUsage);
  EXPECT_THROW(Sampler({.top_k = -1}), base::BadUsage);
  EXPECT_THROW(Sampler({.top_p = 0}), base::BadUsage);
  EXPECT_THROW(Sampler({.top_p = 1.5f}), base::BadUsage);
}

}  // namespace
}  // namespace aquatint::runtime
