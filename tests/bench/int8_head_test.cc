#include "bench/int8_head.h"

#include <gtest/gtest.h>

#include "model/fake_checkpoint.h"
#include "model/model.h"

namespace aquatint::bench {
namespace {

TEST(Int8Head, IsTheEmbeddingRoundedRowByRow) {
  base::ThreadPool pool(2);
  base::Json config = test::tiny_config("llama");
  config["tie_word_embeddings"] = true;
  const auto source = test::random_checkpoint(config);
  const auto seen = with_int8_head(source, pool);
  const tensor::QuantizedMatrix exact = source->weight("model.embed_tokens"), head = seen->weight("lm_head");
  ASSERT_EQ(head.format, &numeric::int8);
  ASSERT_EQ(head.blocks(), exact.rows);
  std::vector<float> a(static_cast<size_t>(exact.cols)), b(a.size());
  for (int64_t row = 0; row < exact.rows; ++row) {
    tensor::dequantize(exact, row, row + 1, a.data());
    tensor::dequantize(head, row, row + 1, b.data());
    for (size_t i = 0; i < a.size(); ++i) EXPECT_LE(std::fabs(a[i] - b[i]), 0.5001f * head.scales.at(row));
  }
}

TEST(Int8Head, HalvesWhatAStepReadsOfIt) {
  base::ThreadPool pool(2);
  const model::Backend backend{&kernels::kernel_set("scalar"), &pool, kernels::Precision::bf16};
  base::Json config = test::tiny_config("llama");
  config["vocab_size"] = 1024;
  config["hidden_size"] = 64;
  const auto source = test::random_checkpoint(config);
  const auto before = model::Model::load(source, backend),
             after = model::Model::load(with_int8_head(source, pool), backend);
  const int64_t saved = 1024 * 64;  // less what rows need beside their codes
  const auto difference = static_cast<int64_t>(before->bytes_per_decode() - after->bytes_per_decode());
  EXPECT_GT(difference, saved / 2);
  EXPECT_LE(difference, saved);
}

}  // namespace
}  // namespace aquatint::bench
