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

TEST(BlockRates, MeasuresBatchesBehindContexts) {
  base::ThreadPool pool(1);
  const model::Backend backend{.kernels = &kernels::kernel_set("auto"), .pool = &pool};
  const auto rates =
      measure_blocks(small_shape(), {{.name = "BF16", .weights = {}, .kv = kernels::KvFormat::fp8_e4m3}},
                     backend, {.sequences = {1, 33}, .prompt = 1024, .context = 2000});
  ASSERT_EQ(rates.size(), 2u);
  EXPECT_EQ(rates[1].scheme, kHeadRate);
  for (const BlockRate& rate : rates) {
    ASSERT_EQ(rate.batches.size(), 2u) << rate.scheme;
    EXPECT_EQ(rate.batches[0].sequences, 1);
    EXPECT_EQ(rate.batches[1].sequences, 33);
    for (const BatchRate& batch : rate.batches) {
      EXPECT_GT(batch.step, 0);
      EXPECT_GT(batch.prompts, 0);
    }
  }
  // 2000 tokens of context cost more than these weights, 33 of them more than one, and so do prompts.
  EXPECT_GT(rates[0].batches[0].step, rates[0].row);
  EXPECT_GT(rates[0].batches[1].step, 4 * rates[0].batches[0].step);
  EXPECT_GT(rates[0].batches[1].prompts, 4 * rates[0].batches[0].prompts);
}

TEST(BlockRates, BatchesOfAWholeModelAreSumsOfItsBlocks) {
  const std::vector<BlockScheme> schemes = {
      {.name = "BF16", .weights = {}}, {.name = "FP8", .weights = {}, .kv = kernels::KvFormat::fp8_e4m3}};
  BlockRate bf16{.scheme = "BF16", .weights = 1e6, .bits = 16, .batches = {{4, 1e-3, 5e-3}, {8, 2e-3, 9e-3}}};
  BlockRate fp8 = bf16, head = bf16;
  fp8.scheme = "FP8", fp8.bits = 8, fp8.batches[1] = {8, 1e-3, 6e-3};
  head.scheme = kHeadRate, head.weights = 2e6, head.batches = {{4, 1e-4, 2e-4}, {8, 1e-4, 3e-4}};
  const Batches batches{.sequences = {4, 8}, .prompt = 512, .context = 576};
  const auto rows = model_batches(small_shape(), schemes, {bf16, fp8, head}, batches, {}, 128);
  ASSERT_EQ(rows.size(), 4u);
  const ModelBatch& last = rows[3];
  EXPECT_EQ(last.scheme, "FP8");
  EXPECT_EQ(last.kv, "fp8_e4m3");
  EXPECT_EQ(last.sequences, 8);
  EXPECT_DOUBLE_EQ(last.first_token, 3 * 6e-3 + 3e-4);
  EXPECT_DOUBLE_EQ(last.token, 3 * 1e-3 + 1e-4);
  EXPECT_DOUBLE_EQ(last.tokens_per_second(), 8 / last.token);
  EXPECT_DOUBLE_EQ(last.output_per_second(), 8 * 128 / (last.first_token + 127 * last.token));
  // Weights of three blocks and the head; at least a byte of each key and value, BF16 has two.
  const double cached = 3 * 8 * 576.0 * 2 * 64, weights = 3 * 1e6 + 2 * 2e6;
  EXPECT_GE(last.bytes, weights + cached);
  EXPECT_LT(last.bytes, weights + 2 * cached);
  EXPECT_GE(rows[1].bytes, 2 * 3 * 1e6 + 2 * 2e6 + 2 * cached);
  EXPECT_EQ(rows[1].kv, "bf16");
}

}  // namespace
}  // namespace aquatint::bench
