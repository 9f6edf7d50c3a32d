// What every set that chooses next tokens is tested for; the including file says which sets.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/rng.h"
#include "kernels/ops.h"

namespace aquatint::kernels {
namespace {

class Sample : public testing::TestWithParam<const KernelSet*> {
 protected:
  std::vector<int32_t> tokens_of(const std::vector<float>& logits, const std::vector<Draw>& draws) {
    std::vector<int32_t> tokens(draws.size(), -1);
    const int64_t rows = std::ssize(draws), cols = std::ssize(logits) / rows;
    GetParam()->sample(logits.data(), rows, cols, draws.data(), tokens.data(), pool_);
    return tokens;
  }

  base::ThreadPool pool_{1};
};

std::vector<float> random_logits(int64_t count, uint64_t seed) {
  base::Rng rng(seed);
  std::vector<float> logits(static_cast<size_t>(count));
  for (float& x : logits) x = static_cast<float>(3 * rng.normal());
  return logits;
}

// The tokens that a draw leaves with their probabilities, in order; FP64, by sorting.
std::vector<std::pair<int32_t, double>> left_by(const std::vector<float>& logits, const Draw& draw) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto at = [&](int32_t token) { return logits[static_cast<size_t>(token)]; };
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return at(a) > at(b); });
  if (draw.top_k > 0 && draw.top_k < std::ssize(order)) {
    auto end = order.begin() + draw.top_k;
    while (end != order.end() && at(*end) == at(*(end - 1))) ++end;
    order.erase(end, order.end());
  }
  const auto probability = [&](int32_t token) {
    return std::exp((double{at(token)} - double{at(order[0])}) / double{draw.temperature});
  };
  double total = 0, sum = 0;
  for (const int32_t token : order) total += probability(token);
  size_t kept = 0;
  while (kept < order.size() && (draw.top_p >= 1 || sum < double{draw.top_p} * total))
    sum += probability(order[kept++]);
  order.resize(kept);
  std::vector<std::pair<int32_t, double>> left;
  for (const int32_t token : order) left.emplace_back(token, probability(token) / sum);
  std::sort(left.begin(), left.end());
  return left;
}

TEST_P(Sample, TakesTheLargestLogitWithoutTemperature) {
  for (const int64_t cols : {1, 31, 32, 33, 1000, 2500}) {
    std::vector<float> logits = random_logits(3 * cols, 1);
    std::vector<int32_t> want;
    for (int64_t row = 0; row < 3; ++row) {
      const auto first = logits.begin() + row * cols;
      want.push_back(static_cast<int32_t>(std::max_element(first, first + cols) - first));
    }
    logits[static_cast<size_t>(3 * cols - 1)] = logits[static_cast<size_t>(2 * cols + want[2])];  // on ties
    EXPECT_EQ(tokens_of(logits, {{}, {}, {}}), want) << cols;
  }
}

// Where a chance falls close to the border of two tokens, either may be taken.
TEST_P(Sample, TakesTheTokenThatTheChanceFallsOn) {
  constexpr double kBorder = 1e-5;
  const Draw rules[] = {{.temperature = 1},
                        {.temperature = 0.3f},
                        {.temperature = 5},
                        {.temperature = 1, .top_k = 1},
                        {.temperature = 1, .top_k = 40},
                        {.temperature = 1, .top_p = 0.9f},
                        {.temperature = 2, .top_p = 0.05f},
                        {.temperature = 1.5f, .top_k = 100, .top_p = 0.7f},
                        {.temperature = 1, .top_k = 5000, .top_p = 0.999f}};
  for (const int64_t cols : {1, 70, 1500}) {
    const std::vector<float> logits = random_logits(cols, 2);
    for (Draw draw : rules) {
      const auto left = left_by(logits, draw);
      for (const double chance : {0.0, 0.01, 0.25, 0.5, 0.77, 0.99999999}) {
        draw.chance = chance;
        const int32_t token = tokens_of(logits, {draw})[0];
        double before = 0;
        const auto found = std::find_if(left.begin(), left.end(), [&](const auto& of) {
          if (of.first == token) return true;
          before += of.second;
          return false;
        });
        ASSERT_NE(found, left.end()) << token << " of " << cols << ", top_k " << draw.top_k << ", top_p "
                                     << draw.top_p;
        EXPECT_GE(chance, before - kBorder);
        EXPECT_LE(chance, before + found->second + kBorder);
      }
    }
  }
}

// Of equal logits top-k keeps all, top-p the first ones.
TEST_P(Sample, EqualLogits) {
  std::vector<float> logits(200, -1.0f);
  for (const size_t token : {7, 64, 150, 199}) logits[token] = 2;
  logits[100] = 3;
  const auto taken = [&](Draw draw) {
    std::vector<int32_t> tokens;
    for (int i = 0; i < 100; ++i) {
      draw.chance = i / 100.0;
      const int32_t token = tokens_of(logits, {draw})[0];
      if (tokens.empty() || tokens.back() != token) tokens.push_back(token);
    }
    return tokens;
  };
  EXPECT_EQ(taken({.temperature = 1, .top_k = 2}), (std::vector<int32_t>{7, 64, 100, 150, 199}));
  // e³ and four e² of e³ + 4 e² + 195 e⁻¹: half of all is reached with the second e².
  EXPECT_EQ(taken({.temperature = 1, .top_k = 5, .top_p = 0.6f}), (std::vector<int32_t>{7, 64, 100}));
}

TEST_P(Sample, RowsHaveDrawsOfTheirOwn) {
  std::vector<float> logits = random_logits(40 * 8, 3);
  std::vector<Draw> draws;
  for (int i = 0; i < 8; ++i)
    draws.push_back(
        {.temperature = i % 2 ? 1.0f : 0.0f, .top_k = i, .top_p = i > 4 ? 0.8f : 1.0f, .chance = i / 8.0});
  const std::vector<int32_t> together = tokens_of(logits, draws);
  for (size_t row = 0; row < draws.size(); ++row) {
    const auto first = logits.begin() + static_cast<int64_t>(row) * 40;
    EXPECT_EQ(tokens_of({first, first + 40}, {draws[row]})[0], together[row]) << row;
  }
}

std::string sample_set_name(const testing::TestParamInfo<const KernelSet*>& info) {
  return std::string(info.param->name);
}

}  // namespace
}  // namespace aquatint::kernels
