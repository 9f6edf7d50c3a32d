// What checkpoints say of the cache, in compressed-tensors' words and in ours, and what is refused.
#include "checkpoint/kv_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "build.h"

namespace aquatint::checkpoint {
namespace {

using base::Json;
using test::open_model;
using test::raw;
using test::refusal;
using test::Tensor;
using ::testing::HasSubstr;

std::vector<Tensor> scales(float key, float value) {
  return {{"model.layers.0.self_attn.k_scale", "F32", {1}, raw(key)},
          {"model.layers.0.self_attn.v_scale", "F32", {1}, raw(value)},
          {"norm.weight", "F32", {1}, raw(1.0f)}};
}

Json compressed(const Json& args) {
  return {{"quantization_config",
           {{"quant_method", "compressed-tensors"},
            {"format", "pack-quantized"},
            {"config_groups", Json::object()},
            {"kv_cache_scheme", args}}}};
}

std::string words(const Json& config) {
  const test::TempFolder folder;
  const auto scheme = kv_scheme(*open_model(folder, config, scales(1, 1)));
  if (!scheme) return "none";
  return fmt::format("{} {}", scheme->format->name, scheme->dynamic ? "dynamic" : "calibrated");
}

TEST(KvCache, CompressedTensorsWords) {
  const auto args = [](int bits, const char* type, bool dynamic) {
    return compressed({{"num_bits", bits},
                       {"type", type},
                       {"symmetric", true},
                       {"strategy", dynamic ? "token" : "tensor"},
                       {"dynamic", dynamic}});
  };
  EXPECT_EQ(words(args(8, "float", false)), "fp8_e4m3 calibrated");
  EXPECT_EQ(words(args(8, "int", false)), "int8 calibrated");
  EXPECT_EQ(words(args(8, "int", true)), "int8 dynamic");
  EXPECT_EQ(words(args(4, "int", true)), "none");
  EXPECT_EQ(words(compressed(nullptr)), "none");
  EXPECT_EQ(words(compressed({{"num_bits", 8}, {"type", "float"}, {"strategy", "attn_head"}})), "none");
  EXPECT_EQ(words(Json::object()), "none");
  const test::TempFolder folder;
  EXPECT_THAT(refusal([&] { kv_scheme(*open_model(folder, compressed(3), scales(1, 1))); }),
              HasSubstr("kv_cache_scheme is number"));
  EXPECT_THAT(refusal([&] {
                kv_scheme(*open_model(folder, compressed({{"num_bits", "8"}}), scales(1, 1)));
              }),
              HasSubstr("num_bits"));
}

TEST(KvCache, OurWords) {
  const auto own = [](const Json& cache) { return Json{{"aquatint", {{"kv_cache", cache}}}}; };
  for (const numeric::KvScheme& scheme : numeric::kv_schemes()) {
    const Json config = {{"aquatint", own_kv_cache(scheme)}};
    EXPECT_EQ(words(config),
              fmt::format("{} {}", scheme.format->name, scheme.dynamic ? "dynamic" : "calibrated"));
  }
  EXPECT_EQ(words({{"aquatint", "a string"}}), "none");
  const test::TempFolder folder;
  for (const Json& wrong : {Json(3), Json{{"format", "int7"}}, Json{{"format", "bf16"}}, Json::object(),
                            Json{{"format", "int4"}, {"dynamic", false}}})
    EXPECT_NE(refusal([&] { kv_scheme(*open_model(folder, own(wrong), scales(1, 1))); }), "") << wrong;
}

TEST(KvCache, ScalesAreChecked) {
  const test::TempFolder folder;
  const auto model = open_model(folder, Json::object(), scales(0.5f, 2));
  EXPECT_EQ(kv_scales(*model, 0).key, 0.5f);
  EXPECT_EQ(kv_scales(*model, 0).value, 2);
  EXPECT_EQ(kv_scales(*model, 1).key, 1);  // missing
  EXPECT_EQ(inventory(*model).parameters, 1);
  for (const float wrong : {0.0f, -1.0f, NAN, INFINITY}) {
    const test::TempFolder other;
    const auto bad = open_model(other, Json::object(), scales(1, wrong));
    EXPECT_THAT(refusal([&] { kv_scales(*bad, 0); }), HasSubstr("expected a positive number"));
  }
  std::vector<Tensor> wide = scales(1, 1);
  wide[0] = {"model.layers.0.self_attn.k_scale", "F32", {2}, raw(1.0)};
  const test::TempFolder third;
  const auto bad = open_model(third, Json::object(), wide);
  EXPECT_THAT(refusal([&] { kv_scales(*bad, 0); }), HasSubstr("expected 1 values"));
}

TEST(KvCache, SchemesAreSplitAtThePlus) {
  EXPECT_EQ(numeric::split_scheme("W4A16").scheme, "W4A16");
  EXPECT_EQ(numeric::split_scheme("W4A16").kv, "");
  EXPECT_EQ(numeric::split_scheme("W4A16+KV8").scheme, "W4A16");
  EXPECT_EQ(numeric::split_scheme("W4A16+KV8").kv, "KV8");
  EXPECT_EQ(numeric::find_kv_scheme("kvfp8")->format, &numeric::fp8_e4m3);
  EXPECT_FALSE(numeric::find_kv_scheme(""));
}

}  // namespace
}  // namespace aquatint::checkpoint
