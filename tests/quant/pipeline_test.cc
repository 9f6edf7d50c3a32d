#include "quant/pipeline.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <sstream>

#include "base/error.h"
#include "checkpoint/writer.h"
#include "pipeline_fixture.h"
#include "quant/plain_tensors.h"

namespace aquatint::quant {
namespace {

using testing::HasSubstr;

const std::string kLinear = "model.layers.1.mlp.down_proj";

// The largest weight of the linears that share an input with this one.
float largest_of_fused(const checkpoint::Checkpoint& source, const std::string& module) {
  const ModelTensors tensors = list_tensors(source);
  const auto found = std::find_if(tensors.matrices.begin(), tensors.matrices.end(),
                                  [&](const ModelMatrix& m) { return m.module == module; });
  float largest = 0;
  for (const ModelMatrix& matrix : tensors.linears(found->layer, found->stage)) {
    std::vector<float> values(static_cast<size_t>(matrix.rows * matrix.cols));
    tensor::dequantize(source.weight(matrix.module), 0, matrix.rows, values.data());
    for (const float value : values) largest = std::max(largest, std::fabs(value));
  }
  return largest;
}

TEST_F(Pipeline, WritesWhatTheMethodFoundForEveryScheme) {
  const auto source = test::random_checkpoint(config_of());
  for (const numeric::Scheme& preset : numeric::schemes()) {
    if (preset.input.needs_calibration()) continue;
    const std::string name(preset.name);
    const Report report = run(*source, name);
    const auto written = open(name);
    EXPECT_EQ(written->scheme(), name);
    const bool sized =
        preset.weights.granularity == Granularity::group || preset.weights.granularity == Granularity::block;
    const numeric::Scheme used =
        sized && !preset.weights.fixed_group() ? numeric::with_group(preset, 32) : preset;
    const numeric::WeightScheme& weights = used.weights;
    EXPECT_EQ(report.group, weights.group);
    ASSERT_EQ(report.layers.size(), 14u);
    for (const LayerReport& layer : report.layers) {
      const std::vector<float> original = values(source->weight(layer.name));
      const MethodOptions options = {.clip = default_clip(preset.weights),
                                     .largest = largest_of_fused(*source, layer.name)};
      const std::vector<float> expected =
          values(rtn.quantize(original, layer.rows, layer.cols, weights, options, pool_));
      ASSERT_EQ(values(written->weight(layer.name)), expected) << name << " " << layer.name;
      double difference = 0, size = 0;
      for (size_t i = 0; i < original.size(); ++i) {
        difference += std::pow(double{original[i]} - double{expected[i]}, 2);
        size += std::pow(double{original[i]}, 2);
      }
      EXPECT_NEAR(layer.relative_error, difference / size, 1e-12);
      EXPECT_EQ(layer.error_basis, "identity");
      EXPECT_EQ(layer.scheme, name);
    }
    EXPECT_EQ(written->weight(kLinear).input, used.input);
  }
}

TEST_F(Pipeline, LeavesTheRestIn16Bit) {
  const auto source = test::random_checkpoint(config_of(false));
  run(*source, "W8A16");
  const auto written = open("W8A16");
  for (const char* module : {"model.embed_tokens", "lm_head"}) {
    const std::vector<float> before = values(source->weight(module)), after = values(written->weight(module));
    for (size_t i = 0; i < before.size(); ++i)
      ASSERT_EQ(after[i], numeric::bf16_to_float(numeric::float_to_bf16(before[i])));
  }
  for (const char* name :
       {"model.norm.weight", "model.layers.0.self_attn.q_proj.bias", "model.layers.1.input_layernorm.weight"})
    EXPECT_TRUE(written->has_vector(name)) << name;
  EXPECT_EQ(written->config()["tie_word_embeddings"], false);
}

TEST_F(Pipeline, TiedEmbeddingsStayTied) {
  run(*test::random_checkpoint(config_of(true)), "W8A16");
  EXPECT_FALSE(open("W8A16")->has_weight("lm_head"));
  EXPECT_EQ(open("W8A16")->config()["tie_word_embeddings"], true);
}

TEST_F(Pipeline, DryRunPredictsExactly) {
  const auto source = test::random_checkpoint(config_of(false));
  for (const numeric::Scheme& preset : numeric::schemes()) {
    if (preset.input.needs_calibration()) continue;
    const std::string name(preset.name);
    const size_t before = files_left();
    const Report predicted = run(*source, name, {.dry_run = true});
    EXPECT_EQ(files_left(), before);
    const Report real = run(*source, name);
    EXPECT_EQ(predicted.bytes, real.bytes) << name;
    EXPECT_EQ(predicted.parameters, real.parameters) << name;
    EXPECT_DOUBLE_EQ(predicted.bits_per_weight, real.bits_per_weight) << name;
    EXPECT_DOUBLE_EQ(predicted.bits_per_parameter, real.bits_per_parameter) << name;
    EXPECT_EQ(predicted.layers.size(), real.layers.size());
    EXPECT_EQ(predicted.layers[3].bytes, real.layers[3].bytes);
    const checkpoint::Inventory inspected = checkpoint::inventory(*open(name));
    EXPECT_EQ(real.bytes, inspected.bytes);
    EXPECT_DOUBLE_EQ(real.bits_per_weight, inspected.bits_per_weight);
  }
}

TEST_F(Pipeline, SchemesWithCalibratedInputsAreRefusedWithoutCalibration) {
  const auto source = test::random_checkpoint(config_of());
  for (const char* name : {"FP8", "NVFP4"}) {
    try {
      run(*source, name);
      ADD_FAILURE() << name;
    } catch (const base::BadUsage& e) {
      EXPECT_THAT(e.what(), HasSubstr("needs the range of its inputs"));
    }
  }
  EXPECT_EQ(files_left(), 0u);
}

TEST_F(Pipeline, GroupsThatAFormatDefinesAreNotChanged) {
  base::Json config = config_of();
  config["intermediate_size"] = 80;  // 16 divides it, 32 does not
  const auto source = test::random_checkpoint(config);
  EXPECT_THROW(run(*source, "MXFP4"), base::BadUsage);
  EXPECT_THROW(run(*source, "NVFP4A16", {.group = 32}), base::BadUsage);
  EXPECT_EQ(run(*source, "NVFP4A16").group, 16);
}

TEST_F(Pipeline, SameBytesForAnyThreads) {
  const auto source = test::random_checkpoint(config_of());
  base::ThreadPool one(1), four(4);
  run(*source, "NF4", {}, "one", &one);
  run(*source, "NF4", {}, "four", &four);
  EXPECT_EQ(open("one")->sha256(), open("four")->sha256());
}

TEST_F(Pipeline, HalfPrecisionScalesForAHalfPrecisionModel) {
  run(*test::random_checkpoint(config_of()), "W4A16", {.dtype = &numeric::fp16});
  EXPECT_EQ(open("W4A16")->weight(kLinear).scales.format, &numeric::fp16);
  EXPECT_EQ(open("W4A16")->weight("model.embed_tokens").format, &numeric::fp16);
}

TEST_F(Pipeline, OneGroupSizeForTheWholeModel) {
  EXPECT_EQ(choose_group(128, {4096, 11008}), 128);
  EXPECT_EQ(choose_group(128, {576, 1536}), 64);
  EXPECT_EQ(choose_group(100, {4096}), 64);
  EXPECT_EQ(choose_group(128, {4096, 48}), 16);
  EXPECT_THROW(choose_group(128, {4096, 40}), base::BadUsage);
  EXPECT_THROW(choose_group(8, {4096}), base::BadUsage);
  const Report report = run(*test::random_checkpoint(config_of()), "W4A16");
  ASSERT_EQ(report.notes.size(), 1u);
  EXPECT_THAT(report.notes[0], HasSubstr("groups of 32 instead of 128"));
  const auto source = test::random_checkpoint(config_of());
  EXPECT_EQ(run(*source, "W4A16", {.group = 16, .dry_run = true}).group, 16);
  EXPECT_TRUE(run(*source, "W4A16", {.group = 16, .dry_run = true}).notes.empty());
  EXPECT_THROW(run(*source, "W8A16", {.group = 64, .dry_run = true}), base::BadUsage);
}

TEST_F(Pipeline, KnowsWhatIsAlreadyQuantized) {
  run(*test::random_checkpoint(config_of()), "W4A16");
  const auto quantized = open("W4A16");
  EXPECT_THROW(run(*quantized, "W4A16", {}, "again"), base::BadUsage);
  const Report report = run(*quantized, "W8A8", {}, "other");
  ASSERT_EQ(report.notes.size(), 1u);
  EXPECT_THAT(report.notes[0], HasSubstr("already quantized (W4A16)"));
  EXPECT_EQ(open("other")->scheme(), "W8A8");
}

TEST_F(Pipeline, RefusalsLeaveNothingBehind) {
  const auto source = test::random_checkpoint(config_of());
  EXPECT_THROW(run(*source, "NF4", {.layout = "compressed-tensors"}), base::BadUsage);
  EXPECT_THROW(run(*source, "NF4", {.layout = "compressed-tensors", .dry_run = true}), base::BadUsage);
  EXPECT_THROW(run(*source, "W4A16", {.layout = "no such layout"}), base::BadUsage);
  EXPECT_THROW(run(*source, "W4A16", {.method = "no such method"}), base::BadUsage);
  const auto missing = test::random_checkpoint(config_of());
  missing->matrices.erase(kLinear);
  EXPECT_THROW(run(*missing, "W4A16"), base::BadInput);
  const auto broken = test::random_checkpoint(config_of());
  auto weights = values(broken->weight(kLinear));
  weights[77] = NAN;
  broken->matrices[kLinear] = tensor::plain_matrix(weights, 64, 96);
  EXPECT_THROW(run(*broken, "W4A16"), base::BadInput);
  const auto misshapen = test::random_checkpoint(config_of());
  misshapen->matrices[kLinear] = tensor::plain_matrix(std::vector<float>(64 * 64), 64, 64);
  EXPECT_THROW(run(*misshapen, "W4A16"), base::BadInput);
  EXPECT_EQ(files_left(), 0u);
  run(*source, "W4A16");
  EXPECT_THROW(run(*source, "W4A16"), base::BadUsage);  // exists
}

TEST_F(Pipeline, ConvertsToPlainTensors) {
  const auto source = test::random_checkpoint(config_of());
  run(*source, "W4A16");
  const auto quantized = open("W4A16");
  const Report exact = convert(*quantized, folder_ / "fp32", "safetensors", &numeric::fp32, pool_);
  const Report rounded = convert(*quantized, folder_ / "bf16", "safetensors", nullptr, pool_);
  EXPECT_EQ(open("fp32")->scheme(), "");
  EXPECT_EQ(values(open("fp32")->weight(kLinear)), values(quantized->weight(kLinear)));
  ASSERT_EQ(exact.layers.size(), 15u);  // 14 linears and the embedding
  for (const LayerReport& layer : exact.layers) EXPECT_EQ(layer.relative_error, 0) << layer.name;
  // BF16 keeps 8 bits: an error of at most 2^−9 of each value, so 2^−18 of the squares. Codes times BF16
  // scales need up to 11.
  double largest = 0;
  for (const LayerReport& layer : rounded.layers) largest = std::max(largest, layer.relative_error);
  EXPECT_GT(largest, 0);
  EXPECT_LE(largest, 0x1p-18);
  EXPECT_EQ(rounded.bytes, checkpoint::inventory(*open("bf16")).bytes);
}

TEST_F(Pipeline, ConvertsOnlyWhatTheLayoutCanSay) {
  const auto source = test::random_checkpoint(config_of());
  run(*source, "W4A16_ASYM");
  run(*source, "NF4");
  const auto packed = open("W4A16_ASYM"), nf4 = open("NF4");
  const Report same = convert(*packed, folder_ / "same", "compressed-tensors", nullptr, pool_);
  EXPECT_EQ(same.scheme, "W4A16_ASYM");
  EXPECT_EQ(values(open("same")->weight(kLinear)), values(packed->weight(kLinear)));
  convert(*nf4, folder_ / "nf4", "bitsandbytes", nullptr, pool_);
  EXPECT_EQ(values(open("nf4")->weight(kLinear)), values(nf4->weight(kLinear)));
  EXPECT_THROW(convert(*nf4, folder_ / "no", "compressed-tensors", nullptr, pool_), base::BadUsage);
  EXPECT_THROW(convert(*packed, folder_ / "no", "bitsandbytes", nullptr, pool_), base::BadUsage);
  EXPECT_THROW(convert(*source, folder_ / "no", "compressed-tensors", nullptr, pool_), base::BadUsage);
  EXPECT_FALSE(fs::exists(folder_ / "no"));
}

// Schemes that round inputs differently, groups that differ, a linear left plain: in memory and through a
// file.
TEST_F(Pipeline, MixedSchemesRunAsTheyAreWritten) {
  const auto source = test::random_checkpoint(config_of());
  const auto in_memory = std::make_shared<test::FakeCheckpoint>(*source);
  const ModelTensors tensors = list_tensors(*source);
  const std::array presets = {"W4A16", "W8A8", "W4A16_ASYM", "FP8_DYNAMIC", "W8A16", "plain"};
  {
    checkpoint::Writer writer(folder_ / "mixed", *source, "compressed-tensors", &numeric::fp32);
    for (size_t i = 0; i < tensors.matrices.size(); ++i) {
      const ModelMatrix& matrix = tensors.matrices[i];
      const numeric::Scheme* preset = numeric::find_scheme(presets[i % presets.size()]);
      tensor::QuantizedMatrix& m = in_memory->matrices[matrix.module];
      if (!matrix.linear || !preset) {
        writer.plain(matrix.module, m, numeric::fp32);
        continue;
      }
      numeric::Scheme scheme = *preset;
      if (scheme.weights.group > 0) scheme.weights.group = i % 2 == 0 ? 16 : 32;
      m = rtn.quantize(values(m), matrix.rows, matrix.cols, scheme.weights, {}, pool_);
      m.input = scheme.input;
      writer.quantized(matrix.module, m, scheme);
    }
    write_vectors(tensors.vectors, *source, {}, numeric::fp32, writer);
    writer.finish();
  }
  convert(*open("mixed"), folder_ / "again", "compressed-tensors", &numeric::fp32, pool_);
  const auto logits = [](const std::shared_ptr<const checkpoint::Checkpoint>& from) {
    const test::Runner runner(from, kernels::kernel_set("scalar"), kernels::Precision::bf16);
    model::KvCache cache = runner.cache();
    return runner.logits(runner.run(test::some_tokens(9), cache, kernels::Phase::prefill));
  };
  const std::vector<float> expected = logits(in_memory);
  EXPECT_EQ(logits(open("mixed")), expected);
  EXPECT_EQ(logits(open("again")), expected);
  EXPECT_EQ(open("again")->config()["quantization_config"], open("mixed")->config()["quantization_config"]);
}

TEST_F(Pipeline, JsonHasTheKeysOthersRelyOn) {
  const base::Json json = to_json(run(*test::random_checkpoint(config_of()), "W8A8"));
  for (const char* key :
       {"bytes", "bits_per_weight", "bits_per_parameter", "seconds", "peak_ram_bytes", "layers"})
    EXPECT_TRUE(json.contains(key)) << key;
  for (const char* key : {"name", "scheme", "method", "relative_error", "error_basis"})
    EXPECT_TRUE(json["layers"][0].contains(key)) << key;
}

}  // namespace
}  // namespace aquatint::quant
