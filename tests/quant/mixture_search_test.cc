#include "quant/mixture_search.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace aquatint::quant {
namespace {

using Sets = std::vector<std::vector<MixtureOption>>;

double cost_of(const Sets& sets, const std::vector<size_t>& chosen) {
  double sum = 0;
  for (size_t s = 0; s < sets.size(); ++s) sum += sets[s][chosen[s]].cost;
  return sum;
}
double loss_of(const Sets& sets, const std::vector<size_t>& chosen) {
  double sum = 0;
  for (size_t s = 0; s < sets.size(); ++s) sum += sets[s][chosen[s]].loss;
  return sum;
}

// All combinations of three options in seven sets.
double least_loss(const Sets& sets, double budget) {
  double least = INFINITY;
  for (size_t code = 0; code < 2187; ++code) {
    std::vector<size_t> chosen;
    for (size_t s = 0, rest = code; s < sets.size(); ++s, rest /= 3) chosen.push_back(rest % 3);
    if (cost_of(sets, chosen) <= budget) least = std::min(least, loss_of(sets, chosen));
  }
  return least;
}

TEST(MixtureSearch, FindsWhatTryingAllFinds) {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> uniform(0, 1);
  for (int trial = 0; trial < 50; ++trial) {
    Sets sets(7);
    double cheap = 0, dear = 0;
    for (auto& options : sets) {
      const double size = 1 + 9 * uniform(random);
      for (const double bits : {3.0, 4.0, 8.0})
        options.push_back({uniform(random) / std::pow(4, bits - 3), bits * size});
      cheap += options[0].cost;
      dear += options[2].cost;
    }
    const double budget = cheap + uniform(random) * (dear - cheap);
    const auto chosen = choose_under_budget(sets, budget);
    ASSERT_TRUE(chosen);
    EXPECT_LE(cost_of(sets, *chosen), budget);
    // Seven steps of the budget may stay unused.
    EXPECT_LE(loss_of(sets, *chosen), least_loss(sets, budget - 7 * (budget - cheap) / 16384) + 1e-12);
  }
}

TEST(MixtureSearch, ExactBudgetTakesTheCheapest) {
  const Sets sets = {{{1, 4}, {0, 8}}, {{2, 4}, {0, 8}}};
  EXPECT_EQ(choose_under_budget(sets, 8), (std::vector<size_t>{0, 0}));
  EXPECT_EQ(choose_under_budget(sets, 12), (std::vector<size_t>{0, 1}));
  EXPECT_EQ(choose_under_budget(sets, 16), (std::vector<size_t>{1, 1}));
  EXPECT_FALSE(choose_under_budget(sets, 7.9));
}

TEST(MixtureSearch, NeverPaysForMoreLoss) {
  const Sets sets = {{{1, 4}, {3, 8}}, {{1, 4}, {1, 8}}};
  EXPECT_EQ(choose_under_budget(sets, 100), (std::vector<size_t>{0, 0}));
}

}  // namespace
}  // namespace aquatint::quant
