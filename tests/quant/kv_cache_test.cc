// Schemes of the cache: calibrated, written, read and run.
#include <cmath>

#include "checkpoint/kv_cache.h"
#include "model/staged_block.h"
#include "pipeline_fixture.h"

namespace aquatint::quant {
namespace {

class CacheSchemes : public Pipeline {
 protected:
  Report make(const std::string& words, const std::string& to, bool dry_run = false) {
    QuantizeJob job{.calibration = &tokens_, .dry_run = dry_run};
    set_scheme(words, job.recipe);
    return quantize(*source_, folder_ / to, job, {&kernels::kernel_set("auto"), &pool_});
  }
  test::Runner runner(const std::string& name, kernels::Precision precision = kernels::Precision::bf16,
                      std::optional<kernels::KvFormat> kv = std::nullopt) {
    return test::Runner(open(name), kernels::kernel_set("auto"), precision, 2, kv);
  }
  std::vector<float> hidden(const test::Runner& runner) {
    model::KvCache cache = runner.cache();
    return runner.run(test::some_tokens(40), cache, kernels::Phase::prefill);
  }
  void SetUp() override {
    Pipeline::SetUp();
    for (uint64_t seed = 0; seed < 8; ++seed) tokens_.sequences.push_back(test::some_tokens(48, seed));
  }

  std::shared_ptr<const checkpoint::Checkpoint> source_ = test::random_checkpoint(config_of());
  CalibrationSet tokens_;
};

TEST_F(CacheSchemes, AreWrittenAndRun) {
  using kernels::KvFormat;
  for (const auto& [words, format] : {std::pair{"W8A16+KV8", KvFormat::int8},
                                      {"W8A16+KVFP8", KvFormat::fp8_e4m3},
                                      {"W8A16+kv4", KvFormat::int4}}) {
    const Report report = make(words, words);
    EXPECT_EQ(report.scheme, "W8A16");
    const auto written = open(words);
    const auto scheme = checkpoint::kv_scheme(*written);
    ASSERT_TRUE(scheme) << words;
    EXPECT_EQ(scheme->name, report.kv_cache);
    EXPECT_EQ(runner(words).model->backend().kv_format(), format);
    EXPECT_EQ(runner(words, kernels::Precision::fp32).model->backend().kv_format(), KvFormat::fp32);
    EXPECT_EQ(runner(words, kernels::Precision::bf16, KvFormat::bf16).model->cache_words(), "bf16");
    for (const float x : hidden(runner(words))) ASSERT_TRUE(std::isfinite(x));
    const base::Json& ct = written->config()["quantization_config"]["kv_cache_scheme"];
    EXPECT_EQ(ct.is_null(), format != KvFormat::fp8_e4m3) << "other readers refuse what they do not know";
  }
  make("W8A16", "plain");
  EXPECT_FALSE(checkpoint::kv_scheme(*open("plain")));
  EXPECT_THROW(make("W8A16+KV5", "no"), base::BadUsage);
  EXPECT_THROW(make("W8A16+", "no"), base::BadUsage);
  EXPECT_THROW(make("W9A16+KV8", "no"), base::BadUsage);
}

TEST_F(CacheSchemes, CalibratedScalesAreThoseOfTheLargestKeysAndValues) {
  const Report report = make("W8A16+KVFP8", "fp8");
  EXPECT_EQ(make("W8A16+KVFP8", "dry", true).bytes, report.bytes);
  const auto written = open("fp8");
  EXPECT_EQ(runner("fp8").model->cache_words(), "fp8_e4m3, calibrated scales");
  // The values of the first layer are its v_proj over the normed embeddings: only the codes lie between.
  const model::Config config = model::parse_config(source_->config(), "test");
  const test::Runner run(open("fp8"), kernels::kernel_set("ref"), kernels::Precision::bf16);
  model::HiddenStates states = model::embed_sequences(
      tokens_.sequences, source_->weight("model.embed_tokens"), config, run.model->backend());
  model::StagedBlock staged(config, run.model->backend(), 0, states);
  model::Block block = model::load_block_vectors(*written, config, 0);
  staged.enter(block);
  std::vector<tensor::QuantizedMatrix> parts;
  for (const char* part : {"q_proj", "k_proj", "v_proj"})
    parts.push_back(written->weight(fmt::format("model.layers.0.self_attn.{}", part)));
  model::pack_linear(block.qkv, parts, run.model->backend());
  staged.run(block, model::Stage::qkv);
  const checkpoint::KvScales scales = checkpoint::kv_scales(*written, 0);
  EXPECT_NEAR(scales.key, staged.kv_range().key / 448, 0.01 * scales.key);
  EXPECT_NEAR(scales.value, staged.kv_range().value / 448, 0.01 * scales.value);

  convert(*written, folder_ / "values", "safetensors", &numeric::fp32, pool_);
  EXPECT_EQ(runner("values").model->cache_words(), "fp8_e4m3, calibrated scales");
  EXPECT_EQ(checkpoint::kv_scales(*open("values"), 1).key, checkpoint::kv_scales(*written, 1).key);
  const std::vector<float> calibrated = hidden(runner("fp8")),
                           exact = hidden(runner("fp8", kernels::Precision::bf16, kernels::KvFormat::bf16));
  double difference = 0, size = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    difference += std::pow(double{calibrated[i]} - exact[i], 2);
    size += std::pow(double{exact[i]}, 2);
  }
  EXPECT_GT(difference, 0);
  EXPECT_LT(std::sqrt(difference / size), 0.1);  // E4M3 moves a number by up to 1 / 16
}

TEST_F(CacheSchemes, WithoutCalibrationThereAreNoScales) {
  QuantizeJob job;
  set_scheme("W8A16+KVFP8", job.recipe);
  EXPECT_THROW(quantize(*source_, folder_ / "no", job, {&kernels::kernel_set("auto"), &pool_}),
               base::BadUsage);
  set_scheme("W8A16+KV8", job.recipe);
  EXPECT_NO_THROW(quantize(*source_, folder_ / "yes", job, {&kernels::kernel_set("auto"), &pool_}));
}

}  // namespace
}  // namespace aquatint::quant
