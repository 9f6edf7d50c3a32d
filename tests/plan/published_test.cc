#include "plan/published.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

namespace aquatint::plan {
namespace {

const std::string kFile = std::string(AQUATINT_GOLDEN) + "/../plan/published.json";

constexpr double kEnough = 10e9;  // bytes for keys and values on a card

double off(const test::Published& row, const test::Predicted& p) {
  return p.tokens_per_second / row.tokens_per_second - 1;
}

TEST(Published, IsPredictedWithOneSetOfEfficiencies) {
  double sum = 0;
  int rows = 0;
  std::vector<std::string> missed;
  for (const test::Published& row : test::read_published(kFile)) {
    if (!row.fitted() || row.count > 4) continue;
    const test::Predicted p = test::predict(row, default_efficiency());
    if (p.cache_bytes < kEnough) continue;
    sum += std::fabs(off(row, p));
    ++rows;
    if (std::fabs(off(row, p)) > 0.25)
      missed.push_back(fmt::format("{} {} x {} {} {}/{}: {:+.0f} %", row.model, row.count, row.gpu,
                                   row.scheme, row.traffic.prompt_tokens, row.traffic.generate_tokens,
                                   100 * off(row, p)));
  }
  EXPECT_GT(rows, 100);
  EXPECT_LE(missed.size(), 1u) << fmt::format("{}", fmt::join(missed, "\n"));  // docs/planner.md names them
  EXPECT_LT(sum / rows, 0.1);
}

// What no efficiency was fitted to: other cards, a mixture of experts.
TEST(Published, HoldsForOtherCardsAndModels) {
  double sum = 0;
  int rows = 0;
  for (const test::Published& row : test::read_published(kFile)) {
    if (row.fitted() || row.count > 2) continue;
    const test::Predicted p = test::predict(row, default_efficiency());
    if (p.cache_bytes < kEnough) continue;
    sum += std::fabs(off(row, p));
    ++rows;
  }
  EXPECT_GT(rows, 30);
  EXPECT_LT(sum / rows, 0.2);
}

}  // namespace
}  // namespace aquatint::plan
