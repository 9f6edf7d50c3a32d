// GPTQ and AWQ: known words, every scheme that they say there and back, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "build.h"
#include "checkpoint/checkpoint.h"
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

using Tensors = std::vector<Tensor>;

std::unique_ptr<Checkpoint> open(const test::TempFolder& folder, const Json& quantization,
                                 const Tensors& tensors) {
  return test::open_model(folder, Json{{"quantization_config", quantization}}, tensors);
}

std::vector<float> read(const Json& quantization, const Tensors& tensors) {
  test::TempFolder folder;
  return values_of(open(folder, quantization, tensors)->weight("a"));
}

std::string refused(const Json& quantization, const Tensors& tensors) {
  test::TempFolder folder;
  return refusal([&] { open(folder, quantization, tensors)->weight("a"); });
}

Tensors changed(Tensors tensors, const Tensor& with) {
  for (Tensor& tensor : tensors)
    if (tensor.name == with.name) tensor = with;
  return tensors;
}

const std::string kHalf = raw(numeric::float_to_fp16(0.5f)), kTwo = raw(numeric::float_to_fp16(2.0f));

Json gptq_config(bool symmetric = true, const char* format = "gptq") {
  return {{"quant_method", "gptq"}, {"bits", 4},        {"group_size", 8},
          {"desc_act", false},      {"sym", symmetric}, {"checkpoint_format", format}};
}

// Eight rows of 16 columns: row r holds the codes 0 … 7 and then r, scales 1/2 and 2.
Tensors gptq_tensors() {
  std::vector<uint32_t> codes(16, 0x76543210);
  for (uint32_t r = 0; r < 8; ++r) codes[8 + r] = r * 0x11111111;
  std::string scales;
  for (int i = 0; i < 16; ++i) scales += i < 8 ? kHalf : kTwo;
  return {{"a.qweight", "I32", {2, 8}, raw(codes)},
          {"a.qzeros", "I32", {2, 1}, raw(std::vector<uint32_t>{0x77777777, 0x77777777})},
          {"a.scales", "F16", {2, 8}, scales}};
}

TEST(Gptq, KnownWords) {
  const std::vector<float> values = read(gptq_config(), gptq_tensors());
  ASSERT_EQ(values.size(), 8u * 16);
  for (size_t r = 0; r < 8; ++r)
    for (size_t k = 0; k < 16; ++k) {
      const float code = static_cast<float>(k < 8 ? k : r) - 8;
      EXPECT_EQ(values[16 * r + k], code * (k < 8 ? 0.5f : 2.0f)) << r << ", " << k;
    }
  // Version 2 holds the zero-points themselves.
  const std::string eights = raw(std::vector<uint32_t>{0x88888888, 0x88888888});
  EXPECT_EQ(read(gptq_config(true, "gptq_v2"), changed(gptq_tensors(), {"a.qzeros", "I32", {2, 1}, eights})),
            values);
  const Tensors low =
      changed(gptq_tensors(), {"a.qzeros", "I32", {2, 1}, raw(std::vector<uint32_t>(2, 0x10101010))});
  EXPECT_EQ(read(gptq_config(false), low)[1], 0.5f * (1 - 1));
  EXPECT_EQ(read(gptq_config(false), low)[16 + 1], 0.5f * (1 - 2));
}

TEST(Gptq, IsChecked) {
  const Tensors good = gptq_tensors();
  EXPECT_EQ(refused(gptq_config(), good), "");
  for (const char* name : {"qzeros", "scales"}) {
    Tensors missing = good;
    std::erase_if(missing, [&](const Tensor& t) { return t.name.ends_with(name); });
    EXPECT_THAT(refused(gptq_config(), missing), HasSubstr("is missing"));
  }
  const std::string words(64, 'a');
  EXPECT_THAT(refused(gptq_config(), changed(good, {"a.qweight", "I32", {16}, words})),
              HasSubstr("has shape [16]"));
  EXPECT_THAT(refused(gptq_config(), changed(good, {"a.qweight", "U32", {2, 8}, words})),
              HasSubstr("expected I32"));
  EXPECT_THAT(refused(gptq_config(), changed(good, {"a.qweight", "I32", {4, 4}, words})),
              HasSubstr("expected"));
  EXPECT_THAT(refused(gptq_config(), changed(good, {"a.qweight", "I32", {int64_t{1} << 60, 0}, ""})),
              HasSubstr("shape"));
  EXPECT_THAT(refused(gptq_config(), changed(good, {"a.qzeros", "I32", {1, 2}, "abcdefgh"})),
              HasSubstr("of [2, 1]"));
  EXPECT_THAT(refused(gptq_config(), changed(good, {"a.scales", "I8", {2, 4}, "abcdefgh"})),
              HasSubstr("scales"));
  EXPECT_THAT(refused(gptq_config(), changed(good, {"a.scales", "F16", {1, 4}, "abcdefgh"})),
              HasSubstr("scales of [2"));
  const std::string odd = raw(std::vector<uint32_t>{0x77777777, 0x77777776});
  EXPECT_THAT(refused(gptq_config(), changed(good, {"a.qzeros", "I32", {2, 1}, odd})),
              HasSubstr("symmetric"));
  Tensors permuted = good;
  std::vector<int32_t> order(16, 1);
  permuted.push_back({"a.g_idx", "I32", {16}, raw(order)});
  EXPECT_THAT(refused(gptq_config(), permuted), HasSubstr("desc_act"));
  Json config = gptq_config();
  config["bits"] = 5;
  EXPECT_THAT(refused(config, good), HasSubstr("5 bits"));
  EXPECT_THAT(refused(gptq_config(true, "marlin"), good), HasSubstr("marlin"));
}

Json awq_config() {
  return {{"quant_method", "awq"}, {"bits", 4}, {"group_size", 2}, {"zero_point", true}, {"version", "GEMM"}};
}

// Eight rows of two columns.
Tensors awq_tensors() {
  std::string scales;
  for (int i = 0; i < 8; ++i) scales += kHalf;
  return {{"a.qweight", "I32", {2, 1}, raw(std::vector<uint32_t>{0xFA81E970, 0x00000001})},
          {"a.qzeros", "I32", {1, 1}, raw(0x11111111)},
          {"a.scales", "F16", {1, 8}, scales}};
}

TEST(Awq, KnownWords) {
  const std::vector<float> values = read(awq_config(), awq_tensors());
  const float first[] = {0, 1, 7, 8, 9, 10, 14, 15};
  ASSERT_EQ(values.size(), 16u);
  for (size_t r = 0; r < 8; ++r) {
    EXPECT_EQ(values[2 * r], 0.5f * (first[r] - 1)) << r;
    EXPECT_EQ(values[2 * r + 1], 0.5f * ((r == 0 ? 1 : 0) - 1)) << r;
  }
}

TEST(Awq, IsChecked) {
  const Tensors good = awq_tensors();
  EXPECT_EQ(refused(awq_config(), good), "");
  EXPECT_THAT(refused(awq_config(), changed(good, {"a.qweight", "I32", {1, 2}, "abcdefgh"})),
              HasSubstr("expected I32"));
  EXPECT_THAT(refused(awq_config(), changed(good, {"a.qweight", "I32", {2}, "abcdefgh"})),
              HasSubstr("scales of [0"));
  EXPECT_THAT(refused(awq_config(), changed(good, {"a.qzeros", "I32", {2, 1}, "abcdefgh"})),
              HasSubstr("of [1, 1]"));
  EXPECT_THAT(refused(awq_config(), changed(good, {"a.scales", "F16", {1, 7}, std::string(14, 'a')})),
              HasSubstr("multiple of 8"));
  for (const auto& [key, value] :
       {std::pair<const char*, Json>{"bits", 8}, {"version", "gemv"}, {"group_size", -2}}) {
    Json config = awq_config();
    config[key] = value;
    EXPECT_NE(refused(config, good), "") << key;
  }
}

TEST(ColumnLayouts, SchemesComeBackExactly) {
  const auto check = [](const char* layout, numeric::Scheme scheme) {
    test::TempFolder folder;
    const test::MemoryCheckpoint from(Json::object());
    const auto m = test::random_matrix(scheme, 64, 96, 3);
    {
      Writer writer(folder / "out", from, layout);
      writer.quantized("a", m, scheme);
      writer.plain("b.up_proj", tensor::plain_matrix(std::vector<float>(8, 1.0f), 2, 4), numeric::bf16);
      writer.finish();
    }
    const auto model = open_checkpoint((folder / "out").string());
    EXPECT_EQ(model->layout(), layout);
    EXPECT_EQ(values_of(model->weight("a")), values_of(m)) << layout << " " << scheme.name;
    EXPECT_EQ(model->weight("a").zero_points, m.zero_points);
    EXPECT_TRUE(numeric::same_form(*model->weights()[0].scheme, scheme)) << layout << " " << scheme.name;
    EXPECT_TRUE(model->weight("b.up_proj").plain());
    EXPECT_EQ(model->scheme(), scheme.name);
  };
  for (const char* preset : {"W4A16", "W4A16_ASYM", "W8A16", "W3A16", "W2A16"}) {
    numeric::Scheme scheme = test::with_group(preset, 32);
    check("gptq", scheme);
    scheme.weights.scale_format = &numeric::fp16;
    check("gptq", scheme);
  }
  check("awq", test::with_group("W4A16_ASYM", 32));
}

TEST(ColumnLayouts, RefuseShapesThatFillNoWords) {
  test::TempFolder folder;
  const test::MemoryCheckpoint from(Json::object());
  const numeric::Scheme scheme = test::with_group("W4A16_ASYM", 32);
  for (const char* layout : {"gptq", "awq"}) {
    Writer writer(folder / layout, from, layout);
    EXPECT_THROW(writer.quantized("a", test::random_matrix(scheme, 5, 64, 1), scheme), base::BadUsage)
        << layout;
  }
}

}  // namespace
}  // namespace aquatint::checkpoint
