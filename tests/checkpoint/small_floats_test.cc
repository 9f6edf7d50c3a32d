// NVFP4 and the MX formats as compressed-tensors lays them, and our own layout: bytes written down by hand,
// every scheme there and back, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "build.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/layouts/packing.h"
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

// One model in memory: tensors by name, so that each can be made wrong.
struct Model {
  Json quantization;
  std::vector<Tensor> tensors;

  Model with(const Tensor& changed) const {
    Model model = *this;
    for (Tensor& tensor : model.tensors)
      if (tensor.name == changed.name) tensor = changed;
    return model;
  }
  Model without(const std::string& name) const {
    Model model = *this;
    std::erase_if(model.tensors, [&](const Tensor& tensor) { return tensor.name == name; });
    return model;
  }
  std::vector<float> values() const {
    test::TempFolder folder;
    return values_of(open(folder)->weight("a"));
  }
  std::string refused() const {
    test::TempFolder folder;
    return refusal([&] { open(folder)->weight("a"); });
  }

 private:
  std::unique_ptr<Checkpoint> open(const test::TempFolder& folder) const {
    return test::open_model(folder, Json{{"quantization_config", quantization}}, tensors);
  }
};

Json compressed(const char* format, Json weights, const Json& input = nullptr) {
  weights["dynamic"] = false;
  return {{"quant_method", "compressed-tensors"},
          {"format", format},
          {"config_groups",
           {{"g", {{"targets", {"Linear"}}, {"weights", weights}, {"input_activations", input}}}}}};
}

Json fp4_args(const char* strategy, int group) {
  return {{"num_bits", 4}, {"type", "float"}, {"strategy", strategy}, {"group_size", group}};
}

// Codes 0 … 15 in order, the first of a pair in the low nibble; scales 1 and 2 over a divisor of 4.
Model nvfp4() {
  const std::string codes = test::unhex("1032547698badcfe1032547698badcfe");
  return {compressed("nvfp4-pack-quantized", fp4_args("tensor_group", 16)),
          {{"a.weight_packed", "U8", {1, 16}, codes},
           {"a.weight_scale", "F8_E4M3", {1, 2}, "\x38\x40"},
           {"a.weight_global_scale", "F32", {1}, raw(4.0f)}}};
}

TEST(SmallFloats, Nvfp4ByHand) {
  const std::vector<float> values = nvfp4().values();
  const std::vector<float> magnitudes = {0, .5f, 1, 1.5f, 2, 3, 4, 6};
  ASSERT_EQ(values.size(), 32u);
  for (size_t i = 0; i < 32; ++i) {
    const float scale = i < 16 ? 0.25f : 0.5f;
    EXPECT_EQ(values[i], (i % 16 < 8 ? 1 : -1) * scale * magnitudes[i % 8]) << i;
  }
}

// A divisor divides: 1 / 3 · 3 is not what 1 · (1 / 3) · 3 gives for every scale.
TEST(SmallFloats, Nvfp4DividesOnce) {
  Model model = nvfp4().with({"a.weight_global_scale", "F32", {1}, raw(2611.0f)});
  EXPECT_EQ(model.values()[2], 1.0f * (1.0f / 2611.0f));
  EXPECT_EQ(model.values()[16 + 7], 6.0f * (2.0f / 2611.0f));
}

TEST(SmallFloats, Nvfp4IsChecked) {
  const Model good = nvfp4();
  EXPECT_EQ(good.refused(), "");
  EXPECT_THAT(good.without("a.weight_global_scale").refused(),
              HasSubstr("'a.weight_global_scale' is missing"));
  EXPECT_THAT(good.without("a.weight_scale").refused(), HasSubstr("'a.weight_scale' is missing"));
  EXPECT_THAT(good.with({"a.weight_global_scale", "F32", {2}, raw(0.0)}).refused(),
              HasSubstr("one F32 value"));
  EXPECT_THAT(good.with({"a.weight_global_scale", "BF16", {1}, "ab"}).refused(), HasSubstr("one F32 value"));
  EXPECT_THAT(good.with({"a.weight_scale", "F8_E4M3", {1, 1}, "a"}).refused(), HasSubstr("expected [1, 2]"));
  EXPECT_THAT(good.with({"a.weight_scale", "U8", {1, 2}, "ab"}).refused(), HasSubstr("expected F8_E4M3"));
  EXPECT_THAT(good.with({"a.weight_packed", "I32", {1, 4}, std::string(16, 'a')}).refused(),
              HasSubstr("of U8"));
  EXPECT_THAT(good.with({"a.weight_packed", "U8", {16}, std::string(16, 'a')}).refused(), HasSubstr("of U8"));
  EXPECT_THAT(good.with({"a.weight_packed", "U8", {0, 16}, ""}).refused(), HasSubstr("of U8"));
  Model other = good;
  other.quantization = compressed("nvfp4-pack-quantized", fp4_args("group", 16));
  EXPECT_THAT(other.refused(), HasSubstr("does not go with"));
  other.quantization = compressed("pack-quantized", fp4_args("group", 16));
  EXPECT_THAT(other.refused(), HasSubstr("float weights of 4 bits"));
}

TEST(SmallFloats, Nvfp4InputsNeedTheirDivisor) {
  Model model = nvfp4();
  Json input = fp4_args("tensor_group", 16);
  input["dynamic"] = "local";
  model.quantization = compressed("nvfp4-pack-quantized", fp4_args("tensor_group", 16), input);
  EXPECT_THAT(model.refused(), HasSubstr("'a.input_global_scale' is missing"));
  model.tensors.push_back({"a.input_global_scale", "F32", {1}, raw(300.0f)});
  EXPECT_EQ(model.refused(), "");
}

// Scales 1/2 and 4 as exponents 126 and 129.
TEST(SmallFloats, MxFormatsByHand) {
  const std::string scales = "\x7e\x81";
  std::string half(16, '\x22'), whole(32, '\x38');  // ones of E2M1 and of E4M3
  Model mxfp4 = {compressed("mxfp4-pack-quantized", fp4_args("group", 32)),
                 {{"a.weight_packed", "U8", {2, 16}, half + half}, {"a.weight_scale", "U8", {2, 1}, scales}}};
  std::vector<float> expected(32, 0.5f);
  expected.resize(64, 4.0f);
  EXPECT_EQ(mxfp4.values(), expected);
  EXPECT_THAT(mxfp4.with({"a.weight_scale", "F8_E4M3", {2, 1}, scales}).refused(), HasSubstr("expected U8"));

  Model mxfp8 = {compressed("mxfp8-quantized", fp4_args("group", 32)),
                 {{"a.weight", "F8_E4M3", {2, 32}, whole + whole}, {"a.weight_scale", "U8", {2, 1}, scales}}};
  mxfp8.quantization["config_groups"]["g"]["weights"]["num_bits"] = 8;
  EXPECT_EQ(mxfp8.values(), expected);

  // Four 6-bit codes 0x08 (one) in three bytes: 0x208208.
  std::string six;
  for (int i = 0; i < 16; ++i) six += test::unhex("088220");
  Model mxfp6 = {compressed("mxfp6-pack-quantized", fp4_args("group", 32)),
                 {{"a.weight_packed", "U8", {2, 24}, six}, {"a.weight_scale", "U8", {2, 1}, scales}}};
  mxfp6.quantization["config_groups"]["g"]["weights"]["num_bits"] = 6;
  EXPECT_EQ(mxfp6.values(), expected);
  EXPECT_THAT(mxfp6.with({"a.weight_packed", "U8", {2, 23}, six.substr(0, 46)}).refused(),
              HasSubstr("6 bits"));
}

TEST(Packing, BytesThereAndBack) {
  std::vector<uint8_t> codes(21), bytes, back(21);
  for (int bits = 1; bits <= 8; ++bits) {
    for (size_t i = 0; i < codes.size(); ++i)
      codes[i] = static_cast<uint8_t>((i * 53 + 7) & ((1u << bits) - 1));
    bytes.assign(static_cast<size_t>(packed_byte_count(21, bits)), 0xee);
    pack_bytes(codes.data(), 21, bits, bytes.data());
    unpack_bytes(bytes.data(), 21, bits, back.data());
    EXPECT_EQ(back, codes) << bits;
  }
  const uint8_t sixes[] = {1, 2, 3, 63};
  uint8_t three[3];
  pack_bytes(sixes, 4, 6, three);
  EXPECT_EQ(three[0] | three[1] << 8 | three[2] << 16, 1 | 2 << 6 | 3 << 12 | 63 << 18);
}

// Every preset, and what no preset has: widths of 5 and 6 bits, zero-points of 2 and 3 bits, real minima.
std::vector<numeric::Scheme> all_schemes() {
  using numeric::Granularity;
  std::vector<numeric::Scheme> result;
  for (const numeric::Scheme& preset : numeric::schemes())
    result.push_back(
        test::with_group(preset.name, preset.weights.granularity == Granularity::flat ? 64 : 32));
  const auto add = [&](const numeric::Format& format, bool symmetric, bool minima) {
    numeric::Scheme scheme;
    scheme.name = format.name;
    scheme.weights = {&format, Granularity::group, 32, symmetric, &numeric::fp16};
    scheme.weights.minima = minima;
    result.push_back(scheme);
  };
  for (const numeric::Format* format :
       {&numeric::int5, &numeric::int6, &numeric::fp6_e3m2, &numeric::fp8_e5m2})
    add(*format, true, false);
  for (const numeric::Format* format : {&numeric::int2, &numeric::uint3, &numeric::uint6})
    add(*format, false, false);
  for (const numeric::Format* format : {&numeric::uint4, &numeric::nf4}) add(*format, false, true);
  for (const numeric::Format* format : {&numeric::int8, &numeric::bf16}) {
    result.push_back(test::with_group("W4A16", 32));
    result.back().weights.low_rank = {3, format};
  }
  return result;
}

struct Written {
  test::TempFolder folder;
  std::unique_ptr<Checkpoint> model;

  Written(const std::vector<std::pair<numeric::Scheme, tensor::QuantizedMatrix>>& matrices) {
    const test::MemoryCheckpoint from(Json::object());
    Writer writer(folder / "out", from, "aquatint");
    for (size_t i = 0; i < matrices.size(); ++i)
      writer.quantized(fmt::format("layers.{}.up_proj", i), matrices[i].second, matrices[i].first);
    writer.finish();
    model = open_checkpoint((folder / "out").string());
  }
};

bool no_nan(const std::vector<float>& values) {
  return std::none_of(values.begin(), values.end(), [](float v) { return std::isnan(v); });
}

TEST(Aquatint, EverySchemeInOneModelComesBack) {
  std::vector<std::pair<numeric::Scheme, tensor::QuantizedMatrix>> matrices;
  for (const numeric::Scheme& scheme : all_schemes())
    for (const auto& [rows, cols] : {std::pair{5, 77}, {48, 192}})
      matrices.emplace_back(scheme, test::random_matrix(scheme, rows, cols, matrices.size()));
  const Written written(matrices);
  EXPECT_EQ(written.model->scheme(), "mixed");
  for (size_t i = 0; i < matrices.size(); ++i) {
    const auto& [scheme, m] = matrices[i];
    const std::string module = fmt::format("layers.{}.up_proj", i);
    const auto back = written.model->weight(module);
    EXPECT_EQ(raw(values_of(back)), raw(values_of(m))) << scheme.name;
    EXPECT_EQ(back.zero_points, m.zero_points) << scheme.name;
    EXPECT_EQ(back.input, m.input) << scheme.name;
    for (const WeightInfo& info : written.model->weights()) {
      if (info.module != module) continue;
      EXPECT_TRUE(numeric::same_form(*info.scheme, scheme)) << scheme.name;
      EXPECT_EQ(info.stored_bytes, back.stored_bytes);
    }
  }
}

TEST(Aquatint, ItsBytesByHand) {
  numeric::Scheme scheme;
  scheme.name = "by hand";
  scheme.weights = {&numeric::int3, numeric::Granularity::group, 4, false, &numeric::fp32};
  tensor::QuantizedMatrix m;
  m.format = &numeric::int3;
  m.rows = 1, m.cols = 6, m.block_cols = 4;
  const uint8_t codes[] = {0, 1, 2, 3, 4, 7};  // 0 1 2 3 -4 -1
  m.codes = tensor::Storage::copy_of(std::span<const uint8_t>(codes));
  const float scales[] = {2, 0.5f};
  m.scales.format = &numeric::fp32;
  m.scales.codes = tensor::Storage::copy_of(std::span<const float>(scales));
  m.zero_points = {-1, 2};
  const Written written({{scheme, m}});
  std::vector<std::string> warnings;
  const SafetensorsSet files(written.folder / "out", warnings);
  const auto bytes = [&](const char* name) {
    const TensorView* tensor = files.find(std::string("layers.0.up_proj.") + name);
    return tensor ? std::string(reinterpret_cast<const char*>(tensor->bytes.data()), tensor->bytes.size())
                  : "absent";
  };
  EXPECT_EQ(bytes("weight_shape"), raw(std::vector<int64_t>{1, 6}));
  EXPECT_EQ(bytes("weight_codes"),
            raw(std::vector<uint8_t>{0b10001000, 0b11000110, 0b11}));  // 0|1<<3|2<<6|3<<9|4<<12|7<<15
  EXPECT_EQ(bytes("weight_scale"), raw(std::vector<float>{2, 0.5f}));
  EXPECT_EQ(bytes("weight_zero_point"), raw(std::vector<uint8_t>{7 | 2 << 3}));
  EXPECT_EQ(values_of(written.model->weight("layers.0.up_proj")),
            (std::vector<float>{2, 4, 6, 8, -3, -1.5f}));
}

Model aquatint_model() {
  const Json quantization =
      Json::parse(R"({"quant_method": "aquatint", "version": 1, "ignore": [], "config_groups":
    {"g": {"targets": ["Linear"], "input": null, "weights":
      {"format": "int3", "granularity": "group", "group": 4, "offset": "zero_point", "scale": "fp32"}}}})");
  return {quantization,
          {{"a.weight_codes", "U8", {2, 3}, "abcdef"},
           {"a.weight_shape", "I64", {2}, raw(std::vector<int64_t>{2, 6})},
           {"a.weight_scale", "F32", {2, 2}, test::counted_floats(4)},
           {"a.weight_zero_point", "U8", {2, 1}, "ab"}}};
}

TEST(Aquatint, IsChecked) {
  const Model good = aquatint_model();
  EXPECT_EQ(good.refused(), "");
  EXPECT_TRUE(no_nan(good.values()));
  for (const char* name : {"a.weight_shape", "a.weight_scale", "a.weight_zero_point"})
    EXPECT_THAT(good.without(name).refused(), HasSubstr(fmt::format("'{}' is missing", name)));
  const int64_t huge = INT64_MAX;
  for (const auto& shape :
       {std::vector<int64_t>{2, 0}, {-1, 6}, {huge, huge}, {int64_t{1} << 39, int64_t{1} << 39}})
    EXPECT_NE(good.with({"a.weight_shape", "I64", {2}, raw(shape)}).refused(), "");
  EXPECT_THAT(good.with({"a.weight_codes", "U8", {2, 2}, "abcd"}).refused(),
              HasSubstr("expected U8 of [2, 3]"));
  EXPECT_THAT(good.with({"a.weight_codes", "I8", {2, 3}, "abcdef"}).refused(), HasSubstr("is I8"));
  EXPECT_THAT(good.with({"a.weight_scale", "F32", {2, 1}, raw(0.0)}).refused(),
              HasSubstr("expected F32 of [2, 2]"));
  EXPECT_THAT(good.with({"a.weight_zero_point", "U8", {1, 2}, "ab"}).refused(),
              HasSubstr("expected U8 of [2, 1]"));
}

Model low_rank_model(const char* format) {
  Model model = aquatint_model();
  model.quantization["config_groups"]["g"]["weights"]["low_rank"] = {{"rank", 2}, {"format", format}};
  return model;
}

// Zero codes on scales of 1 leave left · right.
TEST(Aquatint, ALowRankPartByHand) {
  Model model = low_rank_model("int8")
                    .with({"a.weight_codes", "U8", {2, 3}, std::string(6, '\0')})
                    .with({"a.weight_zero_point", "U8", {2, 1}, std::string(2, '\0')});
  model.tensors.push_back({"a.weight_left", "I8", {2, 2}, raw(std::vector<int8_t>{1, -2, 3, 0})});
  model.tensors.push_back({"a.weight_left_scale", "BF16", {2}, raw(std::vector<uint16_t>{0x3f80, 0x4000})});
  model.tensors.push_back(
      {"a.weight_right", "I8", {2, 6}, raw(std::vector<int8_t>{1, 2, 3, 4, 5, 6, 0, 1, 0, -1, 0, 127})});
  model.tensors.push_back({"a.weight_right_scale", "BF16", {2}, raw(std::vector<uint16_t>{0x3f80, 0x3f00})});
  EXPECT_EQ(model.values(), (std::vector<float>{1, 1, 3, 5, 5, -121, 6, 12, 18, 24, 30, 36}));
}

TEST(Aquatint, ALowRankPartIsChecked) {
  Model good = low_rank_model("bf16");
  EXPECT_THAT(good.refused(), HasSubstr("'a.weight_left' is missing"));
  good.tensors.push_back({"a.weight_left", "BF16", {2, 2}, std::string(8, '\0')});
  EXPECT_THAT(good.refused(), HasSubstr("'a.weight_right' is missing"));
  good.tensors.push_back({"a.weight_right", "BF16", {2, 6}, std::string(24, '\0')});
  EXPECT_EQ(good.refused(), "");
  const auto refused = [&](const char* key, const Json& value) {
    Model model = good;
    model.quantization["config_groups"]["g"]["weights"]["low_rank"][key] = value;
    return model.refused();
  };
  EXPECT_THAT(refused("rank", 0), HasSubstr("rank"));
  EXPECT_THAT(refused("rank", -1), HasSubstr("rank"));
  EXPECT_THAT(refused("rank", int64_t{1} << 40), HasSubstr("rank"));
  EXPECT_THAT(refused("rank", 3), HasSubstr("expected BF16 of [2, 3]"));
  EXPECT_THAT(refused("format", "int4"), HasSubstr("no type of factors"));
  EXPECT_THAT(refused("format", "int8"), HasSubstr("expected I8 of [2, 2]"));
  EXPECT_THAT(good.with({"a.weight_left", "BF16", {2, 1}, std::string(4, '\0')}).refused(),
              HasSubstr("expected BF16 of [2, 2]"));
  EXPECT_THAT(good.with({"a.weight_right", "BF16", {6, 2}, std::string(24, '\0')}).refused(),
              HasSubstr("expected BF16 of [2, 6]"));
  EXPECT_THAT(good.with({"a.weight_right", "F16", {2, 6}, std::string(24, '\0')}).refused(),
              HasSubstr("is F16"));
}

TEST(Aquatint, ItsConfigIsChecked) {
  const auto refused = [](const char* pointer, const Json& value) {
    Model model = aquatint_model();
    model.quantization[Json::json_pointer(pointer)] = value;
    return model.refused();
  };
  EXPECT_THAT(refused("/version", 2), HasSubstr("version"));
  EXPECT_THAT(refused("/ignore", 3), HasSubstr("ignore"));
  EXPECT_THAT(refused("/config_groups", Json::array()), HasSubstr("config_groups"));
  EXPECT_THAT(refused("/config_groups/g", 3), HasSubstr("\"weights\" is missing"));
  EXPECT_THAT(refused("/config_groups/g/targets", {"re:("}), HasSubstr("wrong at character"));
  EXPECT_THAT(refused("/config_groups/g/targets", {"other"}), HasSubstr("no config group"));
  EXPECT_THAT(refused("/config_groups/g/input", "int8"), HasSubstr("\"input\""));
  EXPECT_THAT(refused("/config_groups/g/weights/format", "int9"), HasSubstr("\"int9\" is not known"));
  EXPECT_THAT(refused("/config_groups/g/weights/format", "bf16"), HasSubstr("not supported"));
  EXPECT_THAT(refused("/config_groups/g/weights/granularity", "token"), HasSubstr("not supported"));
  EXPECT_THAT(refused("/config_groups/g/weights/granularity", "hair"), HasSubstr("\"hair\" is not known"));
  EXPECT_THAT(refused("/config_groups/g/weights/group", 0), HasSubstr("group"));
  EXPECT_THAT(refused("/config_groups/g/weights/group", int64_t{1} << 40), HasSubstr("group"));
  EXPECT_THAT(refused("/config_groups/g/weights/offset", "some"), HasSubstr("offset"));
  EXPECT_THAT(refused("/config_groups/g/weights/scale", "int4"), HasSubstr("no type of scales"));
  EXPECT_THAT(refused("/config_groups/g/weights/scale", "double"), HasSubstr("expected U8 of [2, 2]"));
  EXPECT_THAT(refused("/config_groups/g/weights/scale", "fp8_e4m3"), HasSubstr("expected F8_E4M3"));
}

}  // namespace
}  // namespace aquatint::checkpoint
