#include "model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "fake_checkpoint.h"
#include "model/arch/arch.h"

namespace aquatint::model {
namespace {

using base::Json;
using test::tiny_config;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Config parse(const Json& config) { return parse_config(config, "dir/config.json"); }

std::string error_of(const Json& config) {
  try {
    parse(config);
  } catch (const base::BadInput& e) {
    return e.what();
  }
  return "no error";
}

Json without(Json config, const char* key) {
  config.erase(key);
  return config;
}

Json with(Json config, const char* key, Json value) {
  config[key] = std::move(value);
  return config;
}

TEST(Config, ReadsTheCommonNumbers) {
  const Config c = parse(tiny_config("llama"));
  EXPECT_EQ(c.model_type, "llama");
  EXPECT_EQ(c.architecture, "LlamaForCausalLM");
  EXPECT_EQ(c.vocab_size, 97);
  EXPECT_EQ(c.hidden_size, 36);
  EXPECT_EQ(c.intermediate_size, 52);
  EXPECT_EQ(c.layers, 3);
  EXPECT_EQ(c.q_width(), 60);
  EXPECT_EQ(c.kv_width(), 20);
  EXPECT_EQ(c.max_positions, 2048);
  EXPECT_FLOAT_EQ(c.rms_eps, 1e-5f);
  EXPECT_THAT(c.windows, ElementsAre(0, 0, 0));
}

TEST(Config, NullAndAbsentHeadDim) {
  for (const char* type : {"llama", "mistral", "qwen2"}) {
    EXPECT_EQ(parse(without(tiny_config(type), "head_dim")).head_dim, 6) << type;
    EXPECT_EQ(parse(with(tiny_config(type), "head_dim", nullptr)).head_dim, 6) << type;
  }
  EXPECT_EQ(parse(without(tiny_config("qwen3"), "head_dim")).head_dim, 128);
  EXPECT_EQ(parse(with(tiny_config("qwen3"), "head_dim", nullptr)).head_dim, 6);
}

TEST(Config, NullAndAbsentKvHeads) {
  EXPECT_EQ(parse(with(tiny_config("llama"), "num_key_value_heads", nullptr)).kv_heads, 6);
  EXPECT_EQ(parse(without(tiny_config("llama"), "num_key_value_heads")).kv_heads, 6);
  EXPECT_EQ(parse(with(tiny_config("mistral"), "num_key_value_heads", nullptr)).kv_heads, 6);
  const Json sixteen = with(tiny_config("mistral"), "num_attention_heads", 16);
  EXPECT_EQ(parse(without(sixteen, "num_key_value_heads")).kv_heads, 8);
}

TEST(Config, EosIsANumberOrAListOrNothing) {
  EXPECT_THAT(parse(tiny_config("llama")).eos_ids, ElementsAre(2));
  EXPECT_THAT(parse(with(tiny_config("llama"), "eos_token_id", {7, 8, 9})).eos_ids, ElementsAre(7, 8, 9));
  EXPECT_TRUE(parse(with(tiny_config("llama"), "eos_token_id", nullptr)).eos_ids.empty());
  EXPECT_THAT(error_of(with(tiny_config("llama"), "eos_token_id", {7, 97})), HasSubstr("vocab_size = 97"));
  EXPECT_THAT(error_of(with(tiny_config("llama"), "eos_token_id", "2")), HasSubstr("eos_token_id"));
}

TEST(Config, TiesOnlyWhenToldTo) {
  for (const Architecture* arch : architectures()) {
    const Json config = tiny_config(arch->model_type);
    EXPECT_FALSE(parse(without(config, "tie_word_embeddings")).tied_embeddings) << arch->model_type;
    EXPECT_TRUE(parse(with(config, "tie_word_embeddings", true)).tied_embeddings) << arch->model_type;
  }
}

TEST(Config, Biases) {
  EXPECT_FALSE(parse(tiny_config("llama")).qkv_bias);
  const Config llama = parse(with(with(tiny_config("llama"), "attention_bias", true), "mlp_bias", true));
  EXPECT_TRUE(llama.qkv_bias && llama.output_bias && llama.mlp_bias);
  const Config qwen2 = parse(with(tiny_config("qwen2"), "attention_bias", false));
  EXPECT_TRUE(qwen2.qkv_bias);
  EXPECT_FALSE(qwen2.output_bias || qwen2.mlp_bias || qwen2.qk_norm);
  const Config qwen3 = parse(tiny_config("qwen3"));
  EXPECT_TRUE(qwen3.qk_norm);
  EXPECT_FALSE(qwen3.qkv_bias || qwen3.output_bias);
  EXPECT_TRUE(parse(with(tiny_config("qwen3"), "attention_bias", true)).output_bias);
}

TEST(Config, MistralWindow) {
  EXPECT_THAT(parse(tiny_config("mistral")).windows, Each(20));
  EXPECT_THAT(parse(with(tiny_config("mistral"), "sliding_window", nullptr)).windows, Each(0));
  EXPECT_THAT(parse(without(tiny_config("mistral"), "sliding_window")).windows, Each(4096));
}

TEST(Config, QwenWindowNeedsItsSwitch) {
  Json config = with(tiny_config("qwen2"), "sliding_window", 16);
  config["max_window_layers"] = 2;
  EXPECT_THAT(parse(config).windows, Each(0));
  config["use_sliding_window"] = true;
  EXPECT_THAT(parse(config).windows, ElementsAre(0, 0, 16));
  config["layer_types"] = {"sliding_attention", "full_attention", "full_attention"};
  EXPECT_THAT(parse(config).windows, ElementsAre(16, 0, 0));
  config["layer_types"] = {"sliding_attention"};
  EXPECT_THAT(error_of(config), HasSubstr("num_hidden_layers = 3"));
  config["layer_types"] = {"sliding_attention", "linear_attention", "full_attention"};
  EXPECT_THAT(error_of(config), HasSubstr("linear_attention"));
}

TEST(Config, RejectsWhatItCannotRun) {
  const Json llama = tiny_config("llama");
  EXPECT_THAT(error_of(with(llama, "model_type", "mamba")),
              HasSubstr("\"mamba\" is not supported, expected one of llama, mistral, qwen2, qwen3"));
  EXPECT_THAT(error_of(without(llama, "model_type")), HasSubstr("model_type"));
  EXPECT_THAT(error_of(with(llama, "architectures", Json::array({"LlamaForSequenceClassification"}))),
              HasSubstr("expected LlamaForCausalLM"));
  EXPECT_THAT(error_of(with(llama, "hidden_act", "gelu")), HasSubstr("only silu"));
  EXPECT_THAT(error_of(with(llama, "num_key_value_heads", 4)), HasSubstr("not a multiple"));
  EXPECT_THAT(error_of(with(llama, "head_dim", 9)), HasSubstr("even"));
  EXPECT_THAT(error_of(with(without(llama, "head_dim"), "hidden_size", 37)), HasSubstr("head_dim"));
  EXPECT_THAT(error_of(with(llama, "hidden_size", -4)), HasSubstr("hidden_size"));
  EXPECT_THAT(error_of(with(llama, "vocab_size", int64_t{1} << 40)), HasSubstr("vocab_size"));
  EXPECT_THAT(error_of(with(llama, "rms_norm_eps", -1)), HasSubstr("rms_norm_eps"));
  EXPECT_THAT(error_of(Json::array()), HasSubstr("object"));
}

TEST(Rope, PlainFrequencies) {
  const Config c = parse(with(tiny_config("llama"), "rope_theta", 500000.0));
  ASSERT_EQ(c.rope_inv_freq.size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    const double want = std::pow(500000.0, -2.0 * static_cast<double>(i) / 10);
    EXPECT_NEAR(c.rope_inv_freq[i], want, 1e-6 * want);
  }
  EXPECT_EQ(c.rope_attention_factor, 1);
}

TEST(Rope, OldAndNewKeysSayTheSame) {
  const Json scaling = {{"rope_type", "llama3"},
                        {"factor", 8.0},
                        {"low_freq_factor", 1.0},
                        {"high_freq_factor", 4.0},
                        {"original_max_position_embeddings", 64}};
  Json old_keys = with(with(tiny_config("llama"), "rope_theta", 1000.0), "rope_scaling", scaling);
  Json new_keys = with(tiny_config("llama"), "rope_parameters", scaling);
  new_keys["rope_parameters"]["rope_theta"] = 1000.0;
  EXPECT_EQ(parse(old_keys).rope_inv_freq, parse(new_keys).rope_inv_freq);
  EXPECT_NE(parse(old_keys).rope_inv_freq, parse(without(old_keys, "rope_scaling")).rope_inv_freq);
  old_keys["rope_scaling"]["type"] = "llama3";
  old_keys["rope_scaling"].erase("rope_type");
  EXPECT_EQ(parse(old_keys).rope_inv_freq, parse(new_keys).rope_inv_freq);
}

TEST(Rope, Llama3KeepsShortWavesAndStretchesLongOnes) {
  Json config = with(tiny_config("llama"), "head_dim", 32);
  const Config plain = parse(config);
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 512}};
  const Config scaled = parse(config);
  for (size_t i = 0; i < 16; ++i) {
    const double f = plain.rope_inv_freq[i], wavelength = 2 * M_PI / f;
    const double smooth = (512 / wavelength - 1) / 3;
    const double want = wavelength < 128 ? f : wavelength > 512 ? f / 8 : (1 - smooth) * f / 8 + smooth * f;
    EXPECT_NEAR(scaled.rope_inv_freq[i], want, 1e-6 * want) << i;
  }
}

TEST(Rope, Yarn) {
  Json config = with(tiny_config("qwen2"), "head_dim", 64);
  const Config plain = parse(config);
  config["rope_scaling"] = {{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32768}};
  const Config scaled = parse(config);
  EXPECT_FLOAT_EQ(scaled.rope_attention_factor, static_cast<float>(0.1 * std::log(4.0) + 1));
  EXPECT_EQ(scaled.rope_inv_freq[0], plain.rope_inv_freq[0]);
  EXPECT_FLOAT_EQ(scaled.rope_inv_freq[31], plain.rope_inv_freq[31] / 4);
  for (size_t i = 1; i < 32; ++i) {
    EXPECT_LE(scaled.rope_inv_freq[i], plain.rope_inv_freq[i]);
    EXPECT_GE(scaled.rope_inv_freq[i], plain.rope_inv_freq[i] * 0.2499f);
  }
}

TEST(Rope, RejectsUnknownTypesAndBadNumbers) {
  const auto scaling = [](Json value) {
    return with(tiny_config("llama"), "rope_scaling", std::move(value));
  };
  EXPECT_THAT(error_of(scaling({{"rope_type", "longrope"}})), HasSubstr("\"longrope\" is not supported"));
  EXPECT_THAT(error_of(scaling({{"type", "linear"}})), HasSubstr("factor"));
  EXPECT_THAT(error_of(scaling({{"type", "linear"}, {"factor", 0}})), HasSubstr("positive"));
  EXPECT_THAT(error_of(scaling({{"type", "linear"}, {"factor", 1e-300}})), HasSubstr("frequency of inf"));
  EXPECT_THAT(error_of(scaling("linear")), HasSubstr("object"));
  EXPECT_THAT(error_of(with(tiny_config("llama"), "rope_theta", 0)), HasSubstr("rope_theta"));
  EXPECT_THAT(error_of(with(tiny_config("llama"), "partial_rotary_factor", 0.5)),
              HasSubstr("partial_rotary_factor"));
}

}  // namespace
}  // namespace aquatint::model
