#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "build.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/writer.h"
#include "model_in_memory.h"

namespace aquatint::checkpoint {
namespace {

namespace fs = std::filesystem;
using base::Json;
using test::raw;
using test::refusal;
using test::safetensors;
using test::Tensor;
using ::testing::HasSubstr;

const std::string kF32Matrix = test::counted_floats(6);

std::string opening_refusal(const std::string& model) {
  return refusal([&] { open_checkpoint(model); });
}

TEST(Open, SaysWhatItExpected) {
  test::TempFolder folder;
  EXPECT_THAT(opening_refusal((folder / "absent").string()), HasSubstr("no such file or folder"));
  EXPECT_THAT(opening_refusal(std::string(5000, 'a')), HasSubstr("no such file"));
  EXPECT_THAT(opening_refusal(folder.path().string()), HasSubstr("config.json"));
  EXPECT_THAT(opening_refusal(folder.write("model.bin", "PK").string()), HasSubstr("no GGUF file"));
  EXPECT_THAT(opening_refusal(folder.write("empty.gguf", "").string()), HasSubstr("truncated"));
  folder.write("config.json", "[]");
  EXPECT_THAT(opening_refusal(folder.path().string()), HasSubstr("expected a JSON object"));
  folder.write("config.json", "{}");
  EXPECT_THAT(opening_refusal(folder.path().string()), HasSubstr("model.safetensors.index.json"));
}

TEST(Open, FindsHubModelsInTheCache) {
  test::TempFolder folder;
  ::setenv("HF_HUB_CACHE", folder.path().c_str(), 1);
  EXPECT_THAT(opening_refusal("org/name"), HasSubstr("aquatint pull org/name"));
  for (const char* revision : {"aaa", "bbb"}) {
    folder.write(fmt::format("models--org--name/snapshots/{}/config.json", revision), "{}");
    folder.write(fmt::format("models--org--name/snapshots/{}/model.safetensors", revision),
                 safetensors({{revision, "F32", {2, 3}, kF32Matrix}}));
  }
  EXPECT_THAT(opening_refusal("org/name"), HasSubstr("pull"));  // two revisions, no ref
  folder.write("models--org--name/refs/main", "bbb\n");
  EXPECT_EQ(open_checkpoint("org/name")->tensors()[0].name, "bbb");
  folder.write("models--org--name/refs/main", "../../../../etc");
  EXPECT_THAT(opening_refusal("org/name"), HasSubstr("pull"));
  ::unsetenv("HF_HUB_CACHE");
}

// A folder holding these tensors and this quantization_config.
std::string refusal_of_folder(const std::vector<Tensor>& tensors, const Json& quantization) {
  test::TempFolder folder;
  Json config = Json::object();
  if (!quantization.is_null()) config["quantization_config"] = quantization;
  folder.write("config.json", config.dump());
  folder.write("model.safetensors", safetensors(tensors));
  return refusal([&] {
    const auto model = open_checkpoint(folder.path().string());
    for (const WeightInfo& weight : model->weights()) model->weight(weight.module);
  });
}

TEST(Open, RefusesCodesThatNothingExplains) {
  EXPECT_THAT(refusal_of_folder({{"a.weight", "U8", {2, 3}, "abcdef"}}, nullptr),
              HasSubstr("'a.weight' is U8"));
  EXPECT_THAT(refusal_of_folder({{"a.weight", "F8_E4M3", {2, 3}, "abcdef"}}, nullptr),
              HasSubstr("quantization_config"));
}

Json packed_config(bool symmetric = true) {
  return {{"quant_method", "compressed-tensors"},
          {"format", "pack-quantized"},
          {"config_groups",
           {{"g",
             {{"targets", {"Linear"}},
              {"weights",
               {{"num_bits", 4}, {"symmetric", symmetric}, {"strategy", "group"}, {"group_size", 8}}}}}}}};
}

std::vector<Tensor> packed_tensors() {
  return {{"a.weight_packed", "I32", {2, 2}, std::string(16, '\x5a')},
          {"a.weight_scale", "BF16", {2, 2}, std::string(8, '\x3f')},
          {"a.weight_shape", "I64", {2}, raw(std::vector<int64_t>{2, 16})}};
}

TEST(Open, ChecksPackedWeightsAgainstTheirCompany) {
  auto changed = [](size_t which, const Tensor& tensor) {
    auto tensors = packed_tensors();
    tensors[which] = tensor;
    return refusal_of_folder(tensors, packed_config());
  };
  EXPECT_EQ(refusal_of_folder(packed_tensors(), packed_config()), "");
  EXPECT_THAT(changed(0, {"a.weight_packed", "I32", {2, 1}, std::string(8, '\0')}),
              HasSubstr("expected I32 of [2, 2]"));
  EXPECT_THAT(changed(0, {"a.weight_packed", "U32", {2, 2}, std::string(16, '\0')}), HasSubstr("is U32"));
  EXPECT_THAT(changed(1, {"a.weight_scale", "BF16", {2, 1}, std::string(4, '\0')}),
              HasSubstr("expected [2, 2]"));
  EXPECT_THAT(changed(1, {"a.weight_scale", "I8", {2, 2}, std::string(4, '\0')}),
              HasSubstr("expected F32, F16 or BF16"));
  EXPECT_THAT(changed(1, {"b.weight_scale", "BF16", {2, 2}, std::string(8, '\0')}),
              HasSubstr("'a.weight_scale' is missing"));
  for (const auto& shape :
       {std::vector<int64_t>{2, -16}, {INT64_MAX, INT64_MAX}, {0, 16}, {2, int64_t{1} << 40}})
    EXPECT_NE(changed(2, {"a.weight_shape", "I64", {2}, raw(shape)}), "");
  EXPECT_THAT(changed(2, {"a.weight_shape", "I32", {2}, std::string(8, '\1')}), HasSubstr("two I64 values"));
  EXPECT_THAT(refusal_of_folder(packed_tensors(), packed_config(false)),
              HasSubstr("'a.weight_zero_point' is missing"));
  Json ignored = packed_config();
  ignored["ignore"] = {"a"};
  EXPECT_THAT(refusal_of_folder(packed_tensors(), ignored), HasSubstr("no config group"));
  auto permuted = packed_tensors();
  permuted.push_back({"a.weight_g_idx", "I32", {1}, std::string(4, '\0')});
  EXPECT_THAT(refusal_of_folder(permuted, packed_config()), HasSubstr("actorder"));
}

TEST(Open, ReadsZeroPointsInBothForms) {
  for (const bool packed : {true, false}) {
    auto tensors = packed_tensors();
    tensors.push_back(
        packed ? Tensor{"a.weight_zero_point", "I32", {1, 2}, raw(std::vector<uint32_t>{0x9f, 0x70})}
               : Tensor{"a.weight_zero_point", "I8", {2, 2}, raw(std::vector<int8_t>{7, -8, 1, -1})});
    test::TempFolder folder;
    folder.write("config.json", Json{{"quantization_config", packed_config(false)}}.dump());
    folder.write("model.safetensors", safetensors(tensors));
    EXPECT_EQ(open_checkpoint(folder.path().string())->weight("a").zero_points,
              (std::vector<int16_t>{7, -8, 1, -1}));
  }
}

TEST(Open, ReadsTensorAndBlockScalesAndStaticInputs) {
  test::TempFolder folder;
  Json config = {
      {"quant_method", "compressed-tensors"},
      {"format", "float-quantized"},
      {"config_groups",
       {{"g",
         {{"targets", {"re:t"}},
          {"weights", {{"type", "float"}, {"strategy", "tensor"}}},
          {"input_activations", {{"type", "float"}, {"strategy", "tensor"}, {"dynamic", false}}}}},
        {"h",
         {{"targets", {"Linear"}},
          {"weights", {{"type", "float"}, {"strategy", "block"}, {"block_structure", {2, 2}}}}}}}}};
  folder.write("config.json", Json{{"quantization_config", config}}.dump());
  const std::string ones(9, '\x38');  // 1 in E4M3
  folder.write("model.safetensors",
               safetensors({{"t.weight", "F8_E4M3", {3, 3}, ones},
                            {"t.weight_scale", "F32", {1}, raw(2.0f)},
                            {"t.input_scale", "F32", {1}, raw(0.25f)},
                            {"b.weight", "F8_E4M3", {3, 3}, ones},
                            {"b.weight_scale", "F32", {2, 2}, test::counted_floats(4)}}));
  const auto model = open_checkpoint(folder.path().string());
  EXPECT_EQ(test::values_of(model->weight("t")), std::vector<float>(9, 2.0f));
  EXPECT_EQ(model->weight("t").input.static_scale, 0.25f);
  EXPECT_FALSE(model->weight("t").input.dynamic);
  EXPECT_EQ(test::values_of(model->weight("b")), (std::vector<float>{0, 0, 1, 0, 0, 1, 2, 2, 3}));
  EXPECT_EQ(model->scheme(), "mixed");
}

// Every fifth byte of both files, another bit at each.
TEST(Open, FlippedBytesOfAQuantizedModelAreReadOrRefused) {
  for (const char* name : {"W4A16_ASYM", "NF4", "NVFP4", "MXFP6A16", "FP6", "W4A8_FP"}) {
    test::TempFolder folder;
    const numeric::Scheme scheme = test::with_group(name, 64);
    const test::MemoryCheckpoint from(Json::object());
    {
      Writer writer(folder / "out", from, default_layout({&scheme, 1}));
      writer.quantized("a", test::random_matrix(scheme, 3, 64, 1), scheme);
      writer.finish();
    }
    for (const char* file_name : {"out/model.safetensors", "out/config.json"}) {
      const std::string file = base::read_text(folder / file_name);
      for (size_t at = name[0] % 5; at < file.size(); at += 5) {
        if (file[at] == ' ') continue;  // padding
        std::string damaged = file;
        damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
        folder.write(file_name, damaged);
        refusal([&] {
          const auto model = open_checkpoint((folder / "out").string());
          for (const WeightInfo& weight : model->weights()) test::values_of(model->weight(weight.module));
        });
      }
      folder.write(file_name, file);
    }
  }
}

TEST(Inventory, CountsParametersOfPackedWeights) {
  test::TempFolder folder;
  folder.write("config.json", Json{{"quantization_config", packed_config()}}.dump());
  auto tensors = packed_tensors();
  tensors.push_back({"model.embed_tokens.weight", "BF16", {4, 4}, std::string(32, '\0')});
  tensors.push_back({"model.norm.weight", "BF16", {4}, std::string(8, '\0')});
  folder.write("model.safetensors", safetensors(tensors));
  const auto result = inventory(*open_checkpoint(folder.path().string()));
  EXPECT_EQ(result.parameters, 32 + 16 + 4);
  EXPECT_EQ(result.bytes, 16u + 8 + 16 + 32 + 8);
  EXPECT_EQ(result.bits_per_weight, 8.0 * (16 + 8) / 32);
  EXPECT_EQ(result.bits_per_parameter, 8.0 * 80 / 52);
  EXPECT_EQ(result.dtypes[0].dtype, "BF16");
}

}  // namespace
}  // namespace aquatint::checkpoint
