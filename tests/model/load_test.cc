// Binding weights: everything a file can get wrong has an error that names it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "base/log.h"
#include "runner.h"

namespace aquatint::model {
namespace {

using base::Json;
using kernels::Phase;
using kernels::Precision;
using test::FakeCheckpoint;
using test::random_checkpoint;
using test::Runner;
using test::some_tokens;
using test::tiny_config;
using ::testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::string load_error(const std::shared_ptr<FakeCheckpoint>& checkpoint) {
  try {
    Runner(checkpoint, kernels::kernel_set("ref"), Precision::fp32);
  } catch (const base::BadInput& e) {
    return e.what();
  }
  return "no error";
}

TEST(Load, TiedHeadIsTheEmbedding) {
  Json config = tiny_config("llama");
  const auto untied = random_checkpoint(config);
  untied->matrices["lm_head"] = untied->matrices["model.embed_tokens"];
  config["tie_word_embeddings"] = true;
  const auto tied = std::make_shared<FakeCheckpoint>(*untied);
  tied->config_json = config;
  tied->matrices.erase("lm_head");
  const Runner a(untied, kernels::kernel_set("ref"), Precision::fp32);
  const Runner b(tied, kernels::kernel_set("ref"), Precision::fp32);
  const auto tokens = some_tokens(9);
  KvCache of_a = a.cache(), of_b = b.cache();
  EXPECT_EQ(a.logits(a.run(tokens, of_a, Phase::prefill)), b.logits(b.run(tokens, of_b, Phase::prefill)));
}

TEST(Load, WarnsOfTensorsThatTheConfigHides) {
  std::vector<std::string> warnings;
  base::set_log_sink([&](base::Level, std::string_view message) { warnings.emplace_back(message); });
  const auto checkpoint = random_checkpoint(tiny_config("llama"));
  checkpoint->config_json["tie_word_embeddings"] = true;
  EXPECT_EQ(load_error(checkpoint), "no error");
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0], HasSubstr("lm_head.weight"));
  checkpoint->matrices["lm_head"] = checkpoint->matrices["model.embed_tokens"];
  EXPECT_EQ(load_error(checkpoint), "no error");
  EXPECT_EQ(warnings.size(), 1u);
  checkpoint->vectors["model.layers.0.self_attn.q_proj.bias"] = std::vector<float>(60);
  EXPECT_EQ(load_error(checkpoint), "no error");
  EXPECT_THAT(warnings.back(), HasSubstr("q_proj.bias"));
  base::set_log_sink(nullptr);
}

TEST(Load, NamesWhatIsMissing) {
  for (const char* module : {"model.embed_tokens", "lm_head", "model.layers.2.mlp.down_proj"}) {
    const auto checkpoint = random_checkpoint(tiny_config("qwen3"));
    checkpoint->matrices.erase(module);
    EXPECT_THAT(load_error(checkpoint),
                HasSubstr(fmt::format("fake-model: tensor \"{}.weight\" is missing", module)));
  }
  for (const char* name : {"model.norm.weight", "model.layers.1.self_attn.k_norm.weight"}) {
    const auto checkpoint = random_checkpoint(tiny_config("qwen3"));
    checkpoint->vectors.erase(name);
    EXPECT_THAT(load_error(checkpoint), HasSubstr(fmt::format("\"{}\" is missing", name)));
  }
  const auto checkpoint = random_checkpoint(tiny_config("qwen2"));
  checkpoint->vectors.erase("model.layers.0.self_attn.v_proj.bias");
  EXPECT_THAT(load_error(checkpoint), HasSubstr("num_key_value_heads * head_dim = 20"));
}

TEST(Load, NamesWrongShapesAndTheKeyThatExpectsOthers) {
  auto checkpoint = random_checkpoint(tiny_config("llama"));
  checkpoint->config_json["num_key_value_heads"] = 3;
  EXPECT_THAT(load_error(checkpoint),
              HasSubstr("\"model.layers.0.self_attn.k_proj.weight\" is [20, 36], expected [30, 36] = "
                        "[num_key_value_heads * head_dim, hidden_size]"));
  checkpoint = random_checkpoint(tiny_config("llama"));
  checkpoint->vectors["model.layers.0.input_layernorm.weight"].pop_back();
  EXPECT_THAT(load_error(checkpoint), HasSubstr("35"));
}

TEST(Load, FindsValuesThatAreNoNumbers) {
  auto checkpoint = random_checkpoint(tiny_config("llama"));
  std::vector<float> values(52 * 36, 1.0f);
  values[40 * 36 + 7] = kNan;
  checkpoint->matrices["model.layers.1.mlp.up_proj"] = tensor::plain_matrix(values, 52, 36);
  EXPECT_THAT(load_error(checkpoint),
              HasSubstr("\"model.layers.1.mlp.up_proj.weight\" holds NaN at [40, 7]"));
  checkpoint = random_checkpoint(tiny_config("llama"));
  checkpoint->vectors["model.norm.weight"][3] = kInfinity;
  EXPECT_THAT(load_error(checkpoint), HasSubstr("\"model.norm.weight\" holds infinity at [3]"));
}

// Codes 0 to 7 with a scale per 4 columns, of which one is `odd`.
tensor::QuantizedMatrix quantized(const numeric::Format& format, float odd) {
  tensor::QuantizedMatrix m;
  m.format = &format;
  m.rows = 97;
  m.cols = 36;
  m.block_cols = 4;
  m.codes = tensor::Storage::owned(static_cast<size_t>(m.rows * m.cols));
  for (int64_t i = 0; i < m.rows * m.cols; ++i) m.codes.mutable_u8()[i] = static_cast<uint8_t>(i % 8);
  std::vector<float> scales(static_cast<size_t>(m.blocks()), 0.01f);
  scales[static_cast<size_t>(m.block_of(50, 13))] = odd;
  m.scales.format = &numeric::fp32;
  m.scales.codes = tensor::Storage::copy_of(std::span<const float>(scales));
  return m;
}

TEST(Load, FindsQuantizedValuesThatAreNoNumbers) {
  const auto checkpoint = random_checkpoint(tiny_config("llama"));
  tensor::QuantizedMatrix& head = checkpoint->matrices["lm_head"];
  head = quantized(numeric::int4, 0.02f);
  EXPECT_EQ(load_error(checkpoint), "no error");
  head = quantized(numeric::int4, kNan);
  EXPECT_THAT(load_error(checkpoint), HasSubstr("\"lm_head.weight\" holds NaN at [50, 12]"));
  // A scale near the largest float whose codes, at most 1, keep every value in range.
  head = quantized(numeric::int4, 3e38f);
  for (int64_t col = 12; col < 16; ++col) head.codes.mutable_u8()[50 * 36 + col] = 1;
  EXPECT_EQ(load_error(checkpoint), "no error");
  head.codes.mutable_u8()[50 * 36 + 14] = 2;
  EXPECT_THAT(load_error(checkpoint), HasSubstr("holds infinity at [50, 14]"));
  head = quantized(numeric::fp8_e4m3, 0.02f);
  EXPECT_EQ(load_error(checkpoint), "no error");
  head.codes.mutable_u8()[96 * 36 + 35] = 0xff;
  EXPECT_THAT(load_error(checkpoint), HasSubstr("holds NaN at [96, 35]"));
}

// Every matrix of a block is announced before the block that precedes it is read, and given back once packed.
TEST(Load, AnnouncesAndReleasesThePages) {
  const auto checkpoint = random_checkpoint(tiny_config("llama"));
  const Runner r(checkpoint, kernels::kernel_set("ref"), Precision::fp32);
  const auto position = [&](const std::string& module, base::Access access) {
    const auto& advice = checkpoint->advice;
    return std::find(advice.begin(), advice.end(), std::pair(module, access)) - advice.begin();
  };
  const auto count = std::ssize(checkpoint->advice);
  for (const std::string name : {"self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj"}) {
    const std::string first = "model.layers.0." + name, second = "model.layers.1." + name;
    EXPECT_LT(position(first, base::Access::soon), position(first, base::Access::done));
    EXPECT_LT(position(first, base::Access::done), count);
    EXPECT_LT(position(second, base::Access::soon), position(first, base::Access::done));
    EXPECT_LT(position(second, base::Access::soon), position(second, base::Access::done));
  }
}

TEST(Load, CountsBytes) {
  const Runner r(random_checkpoint(tiny_config("qwen3")), kernels::kernel_set("ref"), Precision::fp32);
  const uint64_t embedding = 97 * 36 * 4;
  const uint64_t block = (36 * (60 + 40) + 36 * 60 + 3 * 36 * 52 + 2 * 36 + 2 * 10) * 4;
  EXPECT_EQ(r.model->bytes_per_decode(), 3 * block + 36 * 4 + embedding);
  EXPECT_EQ(r.model->weight_bytes(), r.model->bytes_per_decode() + embedding);
  // Heads of 10: a strip of keys is 5 lines of two dimensions, values are 8 lines of two positions.
  EXPECT_EQ(KvCache::bytes(r.model->config(), 16, kernels::KvFormat::bf16), 3u * 2 * (5 + 8) * 64);
}

}  // namespace
}  // namespace aquatint::model
