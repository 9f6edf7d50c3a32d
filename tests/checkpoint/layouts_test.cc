#include "checkpoint/layouts/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hash.h"
#include "build.h"
#include "checkpoint/layouts/ct_config.h"
#include "checkpoint/layouts/module_patterns.h"
#include "checkpoint/layouts/packing.h"

namespace aquatint::checkpoint {
namespace {

using base::Json;
using test::raw;
using test::refusal;
using ::testing::HasSubstr;

const uint8_t* u8(const std::string& bytes) { return reinterpret_cast<const uint8_t*>(bytes.data()); }

std::vector<uint32_t> packed(const std::vector<int>& values, int bits) {
  std::vector<uint8_t> codes(values.begin(), values.end());
  std::vector<uint32_t> words(static_cast<size_t>(packed_words(std::ssize(values), bits)));
  pack_run(codes.data(), std::ssize(codes), 1, bits, reinterpret_cast<uint8_t*>(words.data()), 1);
  return words;
}

TEST(Packing, KnownVectors) {
  EXPECT_EQ(packed({-8, -7, -1, 0, 1, 2, 6, 7}, 4), std::vector<uint32_t>{0xFEA98710});
  EXPECT_EQ(packed({-128, -1, 0, 127}, 8), std::vector<uint32_t>{0xFF807F00});
  std::vector<int> threes;
  for (int i = 0; i < 32; ++i) threes.push_back(i % 8 - 4);
  EXPECT_EQ(packed(threes, 3), (std::vector<uint32_t>{0x88FAC688, 0xC688FAC6, 0xFAC688FA}));
}

// compressed-tensors' own words, along a row and along the rows; and back.
TEST(Packing, EqualsCompressedTensors) {
  for (const Json& golden : test::golden("packing")) {
    const int bits = golden["bits"];
    const int64_t rows = golden["rows"], cols = golden["cols"], words = packed_words(cols, bits);
    const std::string codes = test::unhex(golden["codes"].get<std::string>());
    const std::string along_row = test::unhex(golden["along_row"].get<std::string>()),
                      along_rows = test::unhex(golden["along_rows"].get<std::string>());
    std::string out(along_row.size(), '\0'), transposed(along_rows.size(), '\0');
    std::vector<uint8_t> back(static_cast<size_t>(cols));
    for (int64_t r = 0; r < rows; ++r) {
      pack_run(u8(codes) + r * cols, cols, 1, bits, reinterpret_cast<uint8_t*>(out.data()) + 4 * r * words,
               1);
      pack_run(u8(codes) + r * cols, cols, 1, bits, reinterpret_cast<uint8_t*>(transposed.data()) + 4 * r,
               rows);
      unpack_run(u8(along_rows) + 4 * r, rows, cols, bits, back.data(), 1);
      for (int64_t c = 0; c < cols; ++c)
        EXPECT_EQ(back[static_cast<size_t>(c)], u8(codes)[r * cols + c] & ((1 << bits) - 1));
    }
    EXPECT_EQ(out, along_row) << bits;
    EXPECT_EQ(transposed, along_rows) << bits;
  }
}

// The fast way for runs without strides, whole words and the rest.
TEST(Packing, DenseRunsAreTheSame) {
  std::vector<uint8_t> codes(100), words(100, 0xee), slow(100), fast(100);
  for (int bits = 1; bits <= 8; ++bits)
    for (const int64_t n : {1, 7, 8, 31, 32, 33, 64, 71, 100}) {
      for (size_t i = 0; i < codes.size(); ++i)
        codes[i] = static_cast<uint8_t>(i * 37 >> 2 & ((1u << bits) - 1));
      words.assign(static_cast<size_t>(4 * packed_words(n, bits)), 0);
      pack_run(codes.data(), n, 1, bits, words.data(), 1);
      slow.assign(100, 0);
      fast.assign(100, 0);
      unpack_run(words.data(), 1, n, bits, slow.data(), 1);
      unpack_dense_run(words.data(), n, bits, fast.data());
      EXPECT_EQ(fast, slow) << bits << " bits, " << n;
      EXPECT_TRUE(std::equal(codes.begin(), codes.begin() + n, fast.begin())) << bits << " bits, " << n;
    }
}

// Before 0.18: ten 3-bit codes a word, two bits unused.
TEST(Packing, ReadsPaddedWords) {
  uint32_t words[2] = {0, 0};
  for (uint32_t i = 0; i < 12; ++i) words[i / 10] |= (i % 8) << (3 * (i % 10));
  std::vector<uint8_t> codes(12);
  unpack_padded_run(reinterpret_cast<const uint8_t*>(words), 12, 3, codes.data());
  for (int i = 0; i < 12; ++i) EXPECT_EQ(codes[static_cast<size_t>(i)], (i % 8 - 4) & 7);
  EXPECT_EQ(padded_words(12, 3), 2);
}

TEST(ModulePatterns, MatchAsPythonDoes) {
  const ModulePatterns patterns({"re:.*self_attn", "lm_head", "Linear"}, "f");
  EXPECT_TRUE(patterns.match_name("model.layers.0.self_attn.q_proj"));
  EXPECT_TRUE(patterns.match_name("lm_head"));
  EXPECT_FALSE(patterns.match_name("model.lm_head"));
  EXPECT_FALSE(patterns.match_name("model.layers.0.mlp.up_proj"));
  EXPECT_TRUE(patterns.match_class("Linear"));
  EXPECT_TRUE(ModulePatterns({"re:model"}, "f").match_name("model.x"));
  EXPECT_FALSE(ModulePatterns({"re:layers"}, "f").match_name("model.layers"));  // from the start
  EXPECT_THAT(refusal([] { ModulePatterns({"re:("}, "f"); }), HasSubstr("wrong at character 1"));
  const ModulePatterns hostile({"re:(a|aa)+[bc]"}, "f");
  EXPECT_THAT(refusal([&] { hostile.match_name(std::string(64, 'a')); }), HasSubstr("cannot be matched"));
}

Json ct_config(const Json& weights, const Json& input = nullptr, const char* format = "pack-quantized") {
  return {{"quant_method", "compressed-tensors"},
          {"format", format},
          {"ignore", {"lm_head"}},
          {"config_groups",
           {{"group_0", {{"targets", {"Linear"}}, {"weights", weights}, {"input_activations", input}}}}}};
}

TEST(CtConfig, ReadsSchemesAndTargets) {
  std::vector<std::string> warnings;
  Json json = ct_config({{"num_bits", 4}, {"type", "int"}, {"group_size", 32}, {"observer", "mse"}},
                        {{"num_bits", 8}, {"type", "int"}, {"strategy", "token"}, {"dynamic", true}});
  json["kv_cache_scheme"] = {{"num_bits", 8}};
  const CtConfig config(json, "f", warnings);
  const CtGroup* group = config.group_of("model.layers.0.mlp.up_proj");
  ASSERT_NE(group, nullptr);
  EXPECT_EQ(group->weights.format, &numeric::int4);
  EXPECT_EQ(group->weights.granularity, numeric::Granularity::group);
  EXPECT_EQ(group->input.format, &numeric::int8);
  EXPECT_EQ(config.group_of("lm_head"), nullptr);
  EXPECT_EQ(config.group_of("model.embed_tokens"), nullptr);
  EXPECT_EQ(warnings.size(), 1u);
}

TEST(CtConfig, NamesBeatClasses) {
  std::vector<std::string> warnings;
  Json json = ct_config({{"num_bits", 4}, {"strategy", "channel"}});
  json["config_groups"]["group_1"] = {{"targets", {"re:.*down_proj"}},
                                      {"weights", {{"num_bits", 8}, {"strategy", "channel"}}}};
  const CtConfig config(json, "f", warnings);
  EXPECT_EQ(config.group_of("model.layers.0.mlp.down_proj")->weights.format, &numeric::int8);
  EXPECT_EQ(config.group_of("model.layers.0.mlp.up_proj")->weights.format, &numeric::int4);
}

TEST(CtConfig, RefusesWhatItCannotRead) {
  auto refused = [](const Json& json) {
    std::vector<std::string> warnings;
    return refusal([&] { CtConfig(json, "f", warnings); });
  };
  const Json good = {{"num_bits", 4}, {"strategy", "channel"}};
  EXPECT_EQ(refused(ct_config(good)), "");
  EXPECT_THAT(refused(ct_config({{"num_bits", 7}, {"strategy", "channel"}})), HasSubstr("7 bits"));
  EXPECT_THAT(refused(ct_config({{"num_bits", 4}, {"type", "float"}, {"strategy", "channel"}})),
              HasSubstr("float weights of 4 bits"));
  EXPECT_THAT(refused(ct_config({{"strategy", "tensor_group"}, {"group_size", 16}})),
              HasSubstr("tensor_group"));
  EXPECT_THAT(refused(ct_config({{"strategy", "group"}})), HasSubstr("group_size"));
  EXPECT_THAT(refused(ct_config({{"strategy", "block"}, {"block_structure", "axb"}})),
              HasSubstr("block_structure"));
  EXPECT_THAT(refused(ct_config({{"num_bits", 4}, {"group_size", 32}, {"actorder", "group"}})),
              HasSubstr("actorder"));
  EXPECT_THAT(refused(ct_config(
                  good, {{"num_bits", 4}, {"type", "float"}, {"strategy", "token"}, {"dynamic", true}})),
              HasSubstr("inputs of"));
  EXPECT_THAT(refused(ct_config(good, {{"dynamic", "local"}})), HasSubstr("dynamic"));
  EXPECT_THAT(refused(ct_config(good, nullptr, "nvfp4-pack-quantized")), HasSubstr("nvfp4-pack-quantized"));
  Json json = ct_config(good);
  json["sparsity_config"] = {{"format", "sparse-24-bitmask"}};
  EXPECT_THAT(refused(json), HasSubstr("sparse"));
  json = ct_config(good);
  json["config_groups"] = {1, 2};
  EXPECT_THAT(refused(json), HasSubstr("config_groups"));
  json["config_groups"] = {{"a", {{"weights", 3}}}};
  EXPECT_THAT(refused(json), HasSubstr("config_groups.a"));
}

TEST(Registry, SaysWhatToDoAboutOthers) {
  auto refused = [](const Json& quantization) {
    return refusal([&] { layout_of({{"quantization_config", quantization}}, "f"); });
  };
  for (const char* method : {"modelopt", "fp8"})
    EXPECT_THAT(refused({{"quant_method", method}}), HasSubstr(std::string("quantized by ") + method));
  EXPECT_THAT(refused({{"quant_method", "eetq"}}), HasSubstr("unknown quant_method \"eetq\""));
  EXPECT_THAT(refused({1}), HasSubstr("expected an object"));
  EXPECT_EQ(layout_of(Json::object(), "f").name, "safetensors");
  EXPECT_EQ(layout_of({{"quantization_config", {{"load_in_4bit", true}}}}, "f").name, "bitsandbytes");
}

// Tensors as bitsandbytes wrote them: the same values as its own dequantization.
TEST(Bitsandbytes, EqualsTheLibrary) {
  for (const Json& golden : test::golden("bitsandbytes_weights")) {
    test::TempFolder folder;
    std::vector<test::Tensor> tensors;
    for (const auto& [name, t] : golden["tensors"].items())
      tensors.push_back({"m.weight" + name, t["dtype"], t["shape"].get<std::vector<int64_t>>(),
                         test::unhex(t["bytes"].get<std::string>())});
    folder.write("model.safetensors", test::safetensors(tensors));
    folder.write(
        "config.json",
        R"({"quantization_config":{"quant_method":"bitsandbytes","load_in_4bit":true,"bnb_4bit_quant_type":"nf4","bnb_4bit_use_double_quant":true}})");
    const auto model = open_checkpoint(folder.path().string());
    const auto m = model->weight("m");
    std::vector<float> values(static_cast<size_t>(m.rows * m.cols));
    tensor::dequantize(m, 0, m.rows, values.data());
    EXPECT_EQ(raw(values).substr(0, 32), test::unhex(golden["first"].get<std::string>()));
    EXPECT_EQ(base::sha256_hex(std::as_bytes(std::span(values))), golden["sha256"]);
    EXPECT_EQ(model->scheme(), "NF4");
  }
}

}  // namespace
}  // namespace aquatint::checkpoint
