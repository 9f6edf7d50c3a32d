#include "bench/block_rates.h"

#include <gtest/gtest.h>

namespace aquatint::bench {
namespace {

model::Config small_shape() {
  model::Config c;
  c.vocab_size = 512;
  c.hidden_size = 128;
  c.intermediate_size = 320;
  c.layers = 3;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_dim = 32;
  return c;
}

TEST(BlockRates, MeasuresEverySchemeAndTheHead) {
  base::ThreadPool pool(1);
  const model::Backend backend{.kernels = &kernels::kernel_set("auto"), .pool = &pool};
  const numeric::Scheme& w4 = *numeric::find_scheme("W4A16");
  numeric::WeightScheme weights = w4.weights;
  weights.group = 64;
  const auto rates = measure_blocks(
      small_shape(), {{.name = "BF16", .weights = {}}, {.name = "W4A16", .weights = weights}}, backend);
  ASSERT_EQ(rates.size(), 3u);
  EXPECT_EQ(rates[0].scheme, "BF16");
  EXPECT_EQ(rates[1].scheme, "W4A16");
  EXPECT_EQ(rates[2].scheme, kHeadRate);
  EXPECT_EQ(rates[0].weights, 128 * (2 * 128 + 2 * 64 + 3 * 320));
  EXPECT_EQ(rates[2].weights, 512 * 128);
  EXPECT_NEAR(rates[0].bits, 16, 0.5);
  EXPECT_GE(rates[1].bits, 4);
  EXPECT_LT(rates[1].bits, 6);
  for (const BlockRate& rate : rates) {
    EXPECT_GT(rate.row, 0);
    EXPECT_GT(rate.eight_rows, 0);
    EXPECT_GT(rate.prompt_row, 0);
    EXPECT_LT(rate.eight_rows, 30 * rate.row);
  }
}

}  // namespace
}  // namespace aquatint::bench
