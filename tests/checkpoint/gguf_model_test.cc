#include "checkpoint/gguf_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "build.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf_tokenizer.h"
#include "checkpoint/spm_merges.h"

namespace aquatint::checkpoint {
namespace {

using base::Json;
using test::Gguf;
using test::raw;
using test::refusal;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint32_t kF32 = 0;

Json config_of(const Gguf& file) {
  const std::string bytes = file.bytes();
  return gguf_config(GgufFile::parse(test::bytes_of(bytes), "f"));
}

Gguf tiny() {
  return test::tiny_llama_keys().tensor("token_embd.weight", {32, 4}, kF32, test::counted_floats(128));
}

TEST(GgufConfig, SaysWhatTheMetadataSays) {
  const Json config = config_of(tiny());
  EXPECT_EQ(config["model_type"], "llama");
  EXPECT_EQ(config["architectures"], Json({"LlamaForCausalLM"}));
  EXPECT_EQ(config["hidden_size"], 32);
  EXPECT_EQ(config["head_dim"], 16);
  EXPECT_EQ(config["num_key_value_heads"], 1);
  EXPECT_EQ(config["vocab_size"], 4);
  EXPECT_EQ(config["rms_norm_eps"], 1e-5);
  EXPECT_EQ(config["rope_theta"], 10000.0);
  EXPECT_EQ(config["tie_word_embeddings"], true);
  EXPECT_TRUE(config["rope_scaling"].is_null());
}

TEST(GgufConfig, RefusesWhatConfigJsonCannotSay) {
  auto refused = [](Gguf file) {
    return refusal([&] {
      config_of(file.tensor("token_embd.weight", {32, 4}, kF32, test::counted_floats(128)));
    });
  };
  EXPECT_EQ(refused(test::tiny_llama_keys()), "");
  EXPECT_THAT(refused(test::tiny_llama_keys().u32("llama.rope.dimension_count", 8)),
              HasSubstr("part of each head"));
  EXPECT_THAT(refused(test::tiny_llama_keys().u32("llama.attention.value_length", 8)),
              HasSubstr("value length"));
  EXPECT_THAT(refused(test::tiny_llama_keys().string("llama.rope.scaling.type", "longrope")),
              HasSubstr("rope scaling"));
  EXPECT_THAT(
      refused(test::tiny_llama_keys().tensor("rope_freqs.weight", {8}, kF32, test::counted_floats(8))),
      HasSubstr("rope_freqs.weight"));
  EXPECT_THAT(
      refused(test::tiny_llama_keys().tensor("rope_freqs.weight", {4}, kF32, test::counted_floats(4))),
      HasSubstr("4 factors, expected 8"));
  EXPECT_THAT(refused(test::tiny_llama_keys().u32("tokenizer.ggml.bos_token_id", 4)),
              HasSubstr("expected 0 to 3"));
  EXPECT_THAT(refused(Gguf().string("general.architecture", "llama")), HasSubstr("is missing"));
}

std::vector<float> llama3_divisors(double theta, int dim, double factor, double low, double high,
                                   double original) {
  std::vector<float> divisors;
  for (int i = 0; i < dim / 2; ++i) {
    const double wavelength = 2 * std::numbers::pi * std::pow(theta, 2.0 * i / dim);
    const double smooth = (original / wavelength - low) / (high - low);
    divisors.push_back(static_cast<float>(wavelength < original / high ? 1.0
                                          : wavelength > original / low
                                              ? factor
                                              : 1 / ((1 - smooth) / factor + smooth)));
  }
  return divisors;
}

TEST(RopeRecovery, FindsTheParametersOfLlama3) {
  for (const auto& [dim, factor] : {std::pair{128, 8.0}, {64, 32.0}}) {
    const auto scaling = recover_llama3_rope(llama3_divisors(500000.0, dim, factor, 1, 4, 8192), 500000.0);
    ASSERT_TRUE(scaling);
    EXPECT_EQ(*scaling, (Json{{"rope_type", "llama3"},
                              {"factor", factor},
                              {"low_freq_factor", 1.0},
                              {"high_freq_factor", 4.0},
                              {"original_max_position_embeddings", 8192}}));
  }
}

// Only ratios of the context length to the two factors matter, so another low factor comes back as an
// equivalent.
TEST(RopeRecovery, FindsAnEquivalentForAnotherLowFactor) {
  const auto divisors = llama3_divisors(500000.0, 128, 8.0, 2, 8, 16384);
  const auto scaling = recover_llama3_rope(divisors, 500000.0);
  ASSERT_TRUE(scaling);
  EXPECT_EQ((*scaling)["original_max_position_embeddings"], 8192);
  EXPECT_EQ((*scaling)["high_freq_factor"], 4.0);
}

TEST(RopeRecovery, RefusesOtherFactors) {
  EXPECT_FALSE(recover_llama3_rope(std::vector<float>(64, 1.0f), 500000.0));
  EXPECT_FALSE(recover_llama3_rope(std::vector<float>(64, 4.0f), 500000.0));
  auto bent = llama3_divisors(500000.0, 128, 8.0, 1, 4, 8192);
  bent[30] *= 1.01f;
  EXPECT_FALSE(recover_llama3_rope(bent, 500000.0));
  for (float wild :
       {0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    bent[30] = wild;
    EXPECT_FALSE(recover_llama3_rope(bent, 500000.0));
  }
}

TEST(GgufNames, MapToHuggingFace) {
  EXPECT_EQ(hugging_face_name("blk.12.attn_q.weight"), "model.layers.12.self_attn.q_proj.weight");
  EXPECT_EQ(hugging_face_name("blk.0.attn_k.bias"), "model.layers.0.self_attn.k_proj.bias");
  EXPECT_EQ(hugging_face_name("output.weight"), "lm_head.weight");
  EXPECT_EQ(hugging_face_name("output_norm.weight"), "model.norm.weight");
  EXPECT_EQ(hugging_face_name("rope_freqs.weight"), "");
  for (const char* unknown : {"blk.x.attn_q.weight", "blk..attn_q.weight", "blk.0.attn_q",
                              "blk.0.attn_qkv.weight", "", "weight", "blk.1234567.attn_q.weight"})
    EXPECT_EQ(hugging_face_name(unknown), std::nullopt) << unknown;
}

// Two heads of four rows: rows of a pair lie side by side in the file, half a head apart in Hugging Face's
// matrix.
TEST(GgufNames, RowOrderUndoesThePairing) {
  const Json config = {{"num_attention_heads", 2}, {"num_key_value_heads", 1}};
  EXPECT_THAT(row_order(config, "llama", "model.layers.0.self_attn.q_proj.weight", 8),
              ElementsAre(0, 2, 1, 3, 4, 6, 5, 7));
  EXPECT_THAT(row_order(config, "llama", "model.layers.0.self_attn.k_proj.bias", 4), ElementsAre(0, 2, 1, 3));
  EXPECT_TRUE(row_order(config, "llama", "model.layers.0.self_attn.v_proj.weight", 8).empty());
  EXPECT_TRUE(row_order(config, "qwen2", "model.layers.0.self_attn.q_proj.weight", 8).empty());
  EXPECT_NE(refusal([&] { row_order(config, "llama", "model.layers.0.self_attn.q_proj.weight", 6); }), "");
}

TEST(GgufNames, WeightsAndBiasesArePermutedAlike) {
  test::TempFolder folder;
  std::vector<float> rows(32 * 32);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i / 32);
  const auto path =
      folder.write("m.gguf", tiny()
                                 .tensor("blk.0.attn_q.weight", {32, 32}, kF32, raw(rows))
                                 .tensor("blk.0.attn_q.bias", {32}, kF32, test::counted_floats(32))
                                 .bytes());
  const auto model = open_checkpoint(path.string());
  const auto m = model->weight("model.layers.0.self_attn.q_proj");
  std::vector<float> values(32 * 32);
  tensor::dequantize(m, 0, 32, values.data());
  const auto bias = model->vector("model.layers.0.self_attn.q_proj.bias", 32);
  for (size_t r = 0; r < 32; ++r) EXPECT_EQ(values[r * 32], bias[r]);
  EXPECT_EQ(bias[1], 2.0f);
  EXPECT_EQ(bias[8], 1.0f);
  EXPECT_EQ(model->config()["attention_bias"], true);
}

TEST(SpmMerges, EqualTransformersConverter) {
  const Json golden = test::golden("spm_merges");
  const auto texts = golden["pieces"].get<std::vector<std::string>>();
  std::vector<ScoredPiece> pieces;
  for (size_t i = 0; i < texts.size(); ++i)
    pieces.push_back({texts[i], static_cast<int64_t>(i), golden["scores"][i].get<double>()});
  Json merges = Json::array();
  for (const auto& [left, right] : merges_from_scores(pieces)) merges.push_back({left, right});
  EXPECT_EQ(merges, golden["merges"]);
}

Json tokenizer_of(const Gguf& file) {
  const std::string bytes = file.bytes();
  for (const SideFile& side :
       gguf_side_files(GgufFile::parse(test::bytes_of(bytes), "f"), {{"max_position_embeddings", 64}}))
    if (side.name == "tokenizer.json") return Json::parse(side.bytes);
  return nullptr;
}

Gguf vocabulary(const std::vector<std::string>& tokens, const std::vector<int32_t>& kinds) {
  Gguf file;
  file.strings("tokenizer.ggml.tokens", tokens)
      .list("tokenizer.ggml.token_type", 5, kinds.size(), raw(kinds));
  return file;
}

TEST(GgufTokenizer, ByteLevelBpe) {
  const Json json = tokenizer_of(vocabulary({"a", "\"", "a\"", "<s>", "[PAD]", "<x>"}, {1, 1, 1, 3, 5, 4})
                                     .string("tokenizer.ggml.model", "gpt2")
                                     .string("tokenizer.ggml.pre", "llama-bpe")
                                     .strings("tokenizer.ggml.merges", {"a \""})
                                     .u32("tokenizer.ggml.bos_token_id", 3));
  EXPECT_EQ(json["model"]["vocab"], (Json{{"a", 0}, {"\"", 1}, {"a\"", 2}, {"<s>", 3}, {"<x>", 5}}));
  EXPECT_EQ(json["model"]["merges"], Json::parse(R"([["a","\""]])"));
  EXPECT_EQ(json["model"]["ignore_merges"], true);
  ASSERT_EQ(json["added_tokens"].size(), 2u);
  EXPECT_EQ(json["added_tokens"][0]["special"], true);
  EXPECT_EQ(json["added_tokens"][1]["special"], false);
  EXPECT_EQ(json["post_processor"]["single"][0]["SpecialToken"]["id"], "<s>");
}

TEST(GgufTokenizer, SentencePieceAddsASpaceOnlyWhenToldTo) {
  for (bool prefix : {true, false}) {
    const Json json =
        tokenizer_of(vocabulary({"<unk>", "<s>", "a", "▁", "▁a"}, {2, 3, 1, 1, 1})
                         .string("tokenizer.ggml.model", "llama")
                         .list("tokenizer.ggml.scores", 6, 5, raw(std::vector<float>{0, 0, -1, -2, -3}))
                         .flag("tokenizer.ggml.add_space_prefix", prefix));
    EXPECT_EQ(json["normalizer"]["normalizers"].size(), prefix ? 2u : 1u);
    EXPECT_EQ(json["model"]["byte_fallback"], true);
    EXPECT_EQ(json["model"]["merges"], Json::parse(R"([["▁","a"]])"));
  }
}

TEST(GgufTokenizer, RefusesContradictions) {
  auto refused = [](const Gguf& file) { return refusal([&] { tokenizer_of(file); }); };
  auto gpt2 = [](Gguf file) {
    return file.string("tokenizer.ggml.model", "gpt2").string("tokenizer.ggml.pre", "gpt-2");
  };
  EXPECT_THAT(refused(gpt2(vocabulary({"a", "b"}, {1}))), HasSubstr("1 entries"));
  EXPECT_THAT(refused(gpt2(vocabulary({"a", "a"}, {1, 1}))), HasSubstr("repeats 'a'"));
  EXPECT_THAT(refused(gpt2(vocabulary({"\xff"}, {1}))), HasSubstr("UTF-8"));
  EXPECT_THAT(refused(gpt2(vocabulary({"a"}, {1}))), HasSubstr("merges"));
  for (const char* merge : {"a", "a b", "a ", " a", "", "ab c"})
    EXPECT_THAT(refused(gpt2(vocabulary({"a", "b"}, {1, 1})).strings("tokenizer.ggml.merges", {merge})),
                HasSubstr("does not join"))
        << merge;
  EXPECT_THAT(refused(vocabulary({"a"}, {1}).string("tokenizer.ggml.model", "t5")), HasSubstr("\"t5\""));
  EXPECT_THAT(refused(vocabulary({"a"}, {1})
                          .string("tokenizer.ggml.model", "gpt2")
                          .string("tokenizer.ggml.pre", "viking")
                          .strings("tokenizer.ggml.merges", {})),
              HasSubstr("\"viking\""));
  EXPECT_THAT(refused(vocabulary({"a"}, {1}).string("tokenizer.ggml.model", "llama")),
              HasSubstr("scores has 0 entries"));
  EXPECT_THAT(refused(vocabulary({"a"}, {1})
                          .string("tokenizer.ggml.model", "llama")
                          .list("tokenizer.ggml.scores", 6, 1, raw(std::nanf("")))),
              HasSubstr("finite"));
  EXPECT_THAT(refused(gpt2(vocabulary({"a"}, {1})).u32("tokenizer.ggml.bos_token_id", 1)),
              HasSubstr("expected 0 to 0"));
}

}  // namespace
}  // namespace aquatint::checkpoint
