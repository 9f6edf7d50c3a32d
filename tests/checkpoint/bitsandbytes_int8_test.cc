// LLM.int8() checkpoints: bytes written down by hand, there and back, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "build.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/writer.h"
#include "model_in_memory.h"

namespace aquatint::checkpoint {
namespace {

using base::Json;
using test::raw;
using test::refusal;
using test::Tensor;
using test::values_of;
using ::testing::HasSubstr;

const Json kConfig = {{"quant_method", "bitsandbytes"}, {"load_in_8bit", true}, {"llm_int8_threshold", 5.5}};

std::vector<Tensor> small_model() {
  return {{"a.weight", "I8", {2, 3}, raw(std::vector<int8_t>{1, -2, 127, -127, 0, 64})},
          {"a.SCB", "F32", {2}, raw(std::vector<float>{127, 3})},
          {"a.weight_format", "U8", {}, std::string(1, '\0')},
          {"b.weight", "F32", {1, 1}, raw(1.0f)}};
}

std::unique_ptr<Checkpoint> open(const test::TempFolder& folder, const std::vector<Tensor>& tensors,
                                 const Json& quantization = kConfig) {
  return test::open_model(folder, Json{{"quantization_config", quantization}}, tensors);
}

TEST(BitsandbytesInt8, ByHand) {
  const test::TempFolder folder;
  const auto model = open(folder, small_model());
  EXPECT_EQ(model->scheme(), "LLM_INT8");
  const tensor::QuantizedMatrix m = model->weight("a");
  const float step = 3.0f / 127;
  EXPECT_EQ(values_of(m), (std::vector<float>{1, -2, 127, -127 * step, 0, 64 * step}));
  EXPECT_EQ(m.input.format, &numeric::int8);
  EXPECT_EQ(m.input.outlier_threshold, 5.5f);
  EXPECT_EQ(m.stored_bytes, 6u + 8u);
  EXPECT_EQ(values_of(model->weight("b")), std::vector<float>{1});
  EXPECT_FALSE(model->weight("b").input.format);
  const test::TempFolder other;  // transformers' default
  EXPECT_EQ(open(other, small_model(), {{"quant_method", "bitsandbytes"}, {"load_in_8bit", true}})
                ->weight("a")
                .input.outlier_threshold,
            6.0f);
}

TEST(BitsandbytesInt8, IsChecked) {
  const auto refused = [](const Tensor& changed, const Json& config = kConfig) {
    std::vector<Tensor> tensors = small_model();
    for (Tensor& tensor : tensors)
      if (tensor.name == changed.name) tensor = changed;
    const test::TempFolder folder;
    return refusal([&] { open(folder, tensors, config)->weight("a"); });
  };
  EXPECT_EQ(refused({"other", "U8", {}, ""}), "");
  EXPECT_THAT(refused({"a.SCB", "F32", {3}, std::string(12, 'a')}), HasSubstr("expected F32 of 2"));
  EXPECT_THAT(refused({"a.SCB", "BF16", {2}, "abcd"}), HasSubstr("is BF16"));
  EXPECT_THAT(refused({"a.weight", "U8", {2, 3}, "abcdef"}), HasSubstr("is U8"));
  EXPECT_THAT(refused({"a.weight", "I8", {6}, "abcdef"}), HasSubstr("two positive extents"));
  EXPECT_THAT(refused({"a.weight", "I8", {0, 3}, ""}), HasSubstr("two positive extents"));
  EXPECT_THAT(refused({"a.weight_format", "U8", {}, std::string(1, '\1')}), HasSubstr("row-major"));
  EXPECT_THAT(refused({"a.weight_format", "U8", {2}, std::string(2, '\0')}), HasSubstr("row-major"));
  std::vector<Tensor> without = small_model();
  std::erase_if(without, [](const Tensor& tensor) { return tensor.name == "a.SCB"; });
  const test::TempFolder folder;
  EXPECT_THAT(refusal([&] { open(folder, without); }), HasSubstr("'a.SCB' is missing"));
  for (const Json& threshold : {Json(-1), Json("six"), Json(1e39)}) {
    Json config = kConfig;
    config["llm_int8_threshold"] = threshold;
    EXPECT_THAT(refused({"other", "U8", {}, ""}, config), HasSubstr("llm_int8_threshold")) << threshold;
  }
}

TEST(BitsandbytesInt8, ThereAndBack) {
  const test::TempFolder folder;
  numeric::Scheme scheme = *numeric::find_scheme("LLM_INT8");
  scheme.input.outlier_threshold = 4;
  const std::vector<numeric::Scheme> schemes = {scheme};
  EXPECT_EQ(default_layout(schemes), "bitsandbytes");
  const Tensor codes = small_model().front();
  const auto source = open(folder, small_model());
  tensor::QuantizedMatrix m = source->weight("a");
  m.input = scheme.input;
  const test::MemoryCheckpoint from(Json::object());
  Writer writer(folder / "out", from, "bitsandbytes");
  writer.quantized("model.layers.0.up_proj", m, scheme);
  writer.finish();
  const auto back = open_checkpoint((folder / "out").string());
  EXPECT_EQ(back->scheme(), "LLM_INT8");
  EXPECT_EQ(back->config()["quantization_config"]["llm_int8_threshold"], 4);
  EXPECT_EQ(back->config()["quantization_config"]["load_in_8bit"], true);
  EXPECT_EQ(back->config()["quantization_config"]["load_in_4bit"], false);
  EXPECT_EQ(values_of(back->weight("model.layers.0.up_proj")), values_of(m));
  EXPECT_EQ(back->weight("model.layers.0.up_proj").input, scheme.input);
  std::vector<std::string> warnings;
  const SafetensorsSet files(folder / "out", warnings);
  const TensorView* written = files.find("model.layers.0.up_proj.weight");
  ASSERT_TRUE(written);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(written->bytes.data()), written->bytes.size()),
            codes.data);
}

}  // namespace
}  // namespace aquatint::checkpoint
