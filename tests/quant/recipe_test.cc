#include "quant/recipe.h"

#include <gmock/gmock.h>

#include "../model/fake_checkpoint.h"
#include "base/error.h"

namespace aquatint::quant {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

template <class Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const base::Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

Recipe parse(const std::string& yaml) { return parse_recipe(yaml, "r.yaml", "/data"); }
std::string refused(const std::string& yaml) {
  return message_of([&] { parse(yaml); });
}

// Two layers of 64 and 96 columns, an untied head.
ModelTensors tensors() {
  base::Json config = test::tiny_config("llama");
  config["hidden_size"] = 64;
  config["intermediate_size"] = 96;
  config["head_dim"] = 16;
  config["num_attention_heads"] = 4;
  config["num_hidden_layers"] = 2;
  config["tie_word_embeddings"] = false;
  return list_tensors(*test::random_checkpoint(config));
}

std::vector<Assignment> assigned(const std::string& yaml) {
  std::vector<std::string> notes;
  return assign(parse(yaml), tensors(), notes);
}
std::string not_assigned(const std::string& yaml) {
  return message_of([&] { assigned(yaml); });
}
std::string scheme_of(const std::vector<Assignment>& all, const std::string& module) {
  for (const Assignment& a : all)
    if (a.module == module) return a.scheme ? std::string(a.scheme->name) : "16";
  return "missing";
}

constexpr const char* kFull = R"(
scheme: W4A16
group: 32
clip: none
layout: compressed-tensors
methods: [smoothquant: {alpha: 0.6}, gptq: {damp: 0.05, block: 64, act_order: true}]
layers:
  - match: 're:.*down_proj'
    scheme: W8A16
  - match: [model.layers.0.self_attn.o_proj, model.layers.1.self_attn.o_proj]
    except: 're:model.layers.1..*'
    keep: true
calibration:
  files: [{file: wiki.txt, ratio: 3}, /abs/chat.jsonl]
  samples: 64
  length: 256
  seed: 7
)";

TEST(Recipe, SaysEverything) {
  const Recipe r = parse(kFull);
  EXPECT_EQ(r.scheme->name, "W4A16");
  EXPECT_EQ(r.group, 32);
  EXPECT_EQ(r.clip, Clip::none);
  EXPECT_EQ(r.layout, "compressed-tensors");
  ASSERT_THAT(r.methods, SizeIs(2));
  EXPECT_EQ(r.methods[0].method->name, "smoothquant");
  EXPECT_EQ(r.methods[0].settings, base::Json({{"alpha", 0.6}, {"grid", 20}}));
  EXPECT_EQ(r.methods[1].settings, base::Json({{"damp", 0.05}, {"block", 64}, {"act_order", true}}));
  ASSERT_THAT(r.layers, SizeIs(2));
  EXPECT_EQ(r.layers[0].scheme->name, "W8A16");
  EXPECT_EQ(r.layers[0].line, 8);
  EXPECT_THAT(r.layers[1].match, SizeIs(2));
  EXPECT_THAT(r.layers[1].except, ElementsAre("re:model.layers.1..*"));
  EXPECT_TRUE(r.layers[1].keep);
  const CalibrationOptions c = r.calibration->options();
  ASSERT_THAT(c.sources, SizeIs(2));
  EXPECT_EQ(c.sources[0].file, "/data/wiki.txt");
  EXPECT_EQ(c.sources[0].ratio, 3);
  EXPECT_EQ(c.sources[1].file, "/abs/chat.jsonl");
  EXPECT_EQ(c.samples, 64);
  EXPECT_EQ(c.length, 256);
  EXPECT_EQ(c.seed, 7u);
}

TEST(Recipe, DefaultsAreTheFields) {
  const Recipe r = parse("scheme: w4a16\ncalibration: self\n");
  ASSERT_THAT(r.methods, SizeIs(1));
  EXPECT_EQ(r.methods[0].method->name, "rtn");
  EXPECT_TRUE(r.calibration->self);
  EXPECT_EQ(r.calibration->options().samples, 64);
  EXPECT_EQ(r.calibration->options().length, 512);
  EXPECT_EQ(parse("scheme: W8A8\ncalibration: a.txt").calibration->options().length, 2048);
  const Recipe gptq = parse("scheme: W4A16\nmethods: gptq");
  EXPECT_EQ(gptq.methods[0].settings, base::Json({{"damp", 0.01}, {"block", 128}, {"act_order", true}}));
  EXPECT_EQ(parse("scheme: W4A16\nmethods: [smoothquant]").methods[1].method->name, "rtn");
}

TEST(Recipe, CanonicalFormIsTheSameRecipe) {
  const Recipe r = parse(kFull);
  const base::Json canonical = to_json(r);
  const Recipe again = parse_recipe(canonical.dump(), "canonical");
  EXPECT_EQ(to_json(again), canonical);
  EXPECT_EQ(fingerprint_of(again), fingerprint_of(r));
  EXPECT_THAT(fingerprint_of(r), SizeIs(64));
}

TEST(Recipe, WhatHasSomethingToFindFromTokens) {
  for (const char* yaml : {"scheme: W4A16\nmethods: [gptq]\n", "scheme: FP8\n", "scheme: W8A16+KVFP8\n",
                           "scheme: W4A16\nlayers: [{match: lm_head, scheme: FP8}]\n"})
    EXPECT_TRUE(needs_calibration(parse(yaml))) << yaml;
  for (const char* yaml : {"scheme: W4A16\n", "scheme: FP8_DYNAMIC\nmethods: [quarot]\n",
                           "scheme: W8A16+KV8\n", "scheme: NF4\nmethods: [hqq]\n"})
    EXPECT_FALSE(needs_calibration(parse(yaml))) << yaml;
}

TEST(Recipe, FingerprintSeesMeaningNotWriting) {
  const std::string base = fingerprint_of(parse("scheme: W4A16\nmethods: [gptq]"));
  EXPECT_EQ(base, fingerprint_of(parse("methods:\n  - gptq: {damp: 0.01}\nscheme: \"w4a16\" # four bits")));
  EXPECT_EQ(base, fingerprint_of(parse("scheme: W4A16\nmethods: [gptq]\ncalibration: elsewhere.txt")));
  EXPECT_NE(base, fingerprint_of(parse("scheme: W4A16\nmethods: [gptq: {damp: 0.02}]")));
  EXPECT_NE(base, fingerprint_of(parse("scheme: W4A16\nmethods: [gptq]\ngroup: 64")));
  EXPECT_NE(base, fingerprint_of(parse("scheme: W4A16\nmethods: [gptq]\nlayers: [{match: a, keep: true}]")));
}

TEST(Recipe, ErrorsNameTheLineAndTheNearestWord) {
  EXPECT_EQ(refused("scheme: W4A16\ngruop: 64"),
            "r.yaml:2: unknown key 'gruop' in the recipe; did you mean 'group'?");
  EXPECT_THAT(refused("scheme: W4A16\nxyzzy: 64"),
              HasSubstr("r.yaml:2: unknown key 'xyzzy' in the recipe; known: scheme, kv_cache, group"));
  EXPECT_THAT(refused("scheme: W4A61"),
              HasSubstr("r.yaml:1: scheme 'W4A61' is unknown; did you mean 'W4A16'?"));
  EXPECT_THAT(refused("scheme: W4A16\nmethods: [gtpq]"),
              HasSubstr("r.yaml:2: method gtpq is unknown; did you mean 'gptq'?"));
  EXPECT_THAT(refused("scheme: W4A16\nmethods:\n- gptq:\n    dmap: 0.1"),
              HasSubstr("r.yaml:4: gptq has no setting 'dmap'; did you mean 'damp'?"));
  EXPECT_THAT(refused("scheme: W4A16\nmethods: [rtn: {a: 1}]"), HasSubstr("rtn has no settings"));
  EXPECT_THAT(refused("scheme: W4A8_FP\nmethods: [w4a8_fp: {scales: m3}]"),
              HasSubstr("r.yaml:2: scales is 'm3', expected free, m1, m2"));
  EXPECT_THAT(refused("scheme: W4A16\nmethods: [gptq: {damp: 2}]"),
              HasSubstr("r.yaml:2: damp is 2, expected 0 to 1"));
  EXPECT_THAT(refused("scheme: W4A16\nmethods: [gptq, awq]"), HasSubstr("r.yaml:2: awq comes after"));
  EXPECT_THAT(refused("scheme: W4A16\nmethods: [gptq, gptq]"), HasSubstr("stands twice"));
  EXPECT_THAT(refused("scheme: W4A16\nclip: mean"), HasSubstr("r.yaml:2: clip 'mean' is unknown"));
  EXPECT_THAT(refused("scheme: W4A16\nlayout: zip"), HasSubstr("r.yaml:2: layout 'zip' is unknown"));
  EXPECT_THAT(refused("group: 64"), HasSubstr("names no scheme"));
  EXPECT_THAT(refused(""), HasSubstr("r.yaml: is empty"));
}

TEST(Recipe, ErrorsOfTypes) {
  EXPECT_THAT(refused("scheme: [W4A16]"), HasSubstr("r.yaml:1: scheme is a list, expected a word"));
  EXPECT_THAT(refused("scheme: W4A16\ngroup: many"),
              HasSubstr("r.yaml:2: group is 'many', expected a whole number"));
  EXPECT_THAT(refused("scheme: W4A16\ngroup: '64'"), HasSubstr("group is '64', expected a whole number"));
  EXPECT_THAT(refused("scheme: W4A16\nlayers: {match: a}"), HasSubstr("layers must be a list"));
  EXPECT_THAT(refused("scheme: W4A16\nlayers: [{keep: true}]"), HasSubstr("needs match:"));
  EXPECT_THAT(refused("scheme: W4A16\nlayers: [{match: a}]"), HasSubstr("needs scheme, group, clip or keep"));
  EXPECT_THAT(refused("scheme: W4A16\nlayers: [{match: a, keep: yes}]"),
              HasSubstr("keep is 'yes', expected true or false"));
  EXPECT_THAT(refused("scheme: W4A16\nlayers: [{match: a, keep: true, group: 32}]"),
              HasSubstr("leaves nothing"));
  EXPECT_THAT(refused("layers: [{match: a, group: 32}, {match: b, scheme: W8A16}]"),
              HasSubstr("the recipe has none"));
  EXPECT_THAT(refused("scheme: W4A16\ncalibration: {files: [{file: a, ratio: 0}]}"),
              HasSubstr("r.yaml:2: ratio is 0, expected above 0"));
  EXPECT_THAT(refused("scheme: W4A16\ncalibration: {files: [{file: a, ratio: .nan}]}"),
              HasSubstr("expected a number"));
  EXPECT_THAT(refused("scheme: W4A16\ncalibration: {samples: 3}"), HasSubstr("calibration needs files"));
  EXPECT_THAT(refused("scheme: W4A16\ncalibration: {files: []}"), HasSubstr("names no file"));
  EXPECT_THAT(refused("scheme: W4A16\ncalibration: {files: self, samples: 0}"), HasSubstr("samples is '0'"));
  EXPECT_THAT(refused("- a\n b: c: d"), HasSubstr("r.yaml:"));
}

TEST(Recipe, HostileYamlEndsQuickly) {
  EXPECT_THAT(refused(std::string(100'000, '[')), HasSubstr("r.yaml:1"));
  EXPECT_THAT(refused("a: " + std::string(300, '{')), HasSubstr("r.yaml:1"));
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    laughs += fmt::format("a{}: &a{} [", i, i);
    for (int j = 0; j < 10; ++j) laughs += fmt::format("*a{}{}", i - 1, j < 9 ? ", " : "]\n");
  }
  EXPECT_THAT(refused(laughs), HasSubstr("more than 100000 values"));
  EXPECT_THAT(refused("a: &a [*a]"), HasSubstr("r.yaml:1"));
  EXPECT_THAT(refused("scheme: W4A16\nscheme: W8A16"), HasSubstr("r.yaml:2: key 'scheme' stands here twice"));
  EXPECT_THAT(refused("? [a]\n: b"), HasSubstr("a key must be a word"));
  EXPECT_THAT(refused("scheme: W4A16\n---\nscheme: W8A16"), HasSubstr("more than one YAML document"));
  EXPECT_THAT(refused(std::string(2 << 20, ' ')), HasSubstr("expected at most 1048576"));
}

TEST(Recipe, AliasesAreFollowed) {
  const Recipe r = parse("scheme: &s W8A16\nlayers: [{match: a, scheme: *s}]");
  EXPECT_EQ(r.layers[0].scheme, r.scheme);
}

TEST(Assign, RulesOverrideTheRecipe) {
  const auto all = assigned(kFull);
  ASSERT_THAT(all, SizeIs(14));
  EXPECT_EQ(scheme_of(all, "model.layers.0.mlp.down_proj"), "W8A16");
  EXPECT_EQ(scheme_of(all, "model.layers.0.self_attn.o_proj"), "16");
  EXPECT_EQ(scheme_of(all, "model.layers.1.self_attn.o_proj"), "W4A16");
  EXPECT_EQ(all[0].scheme->weights.group, 32);
  EXPECT_EQ(all[0].clip, Clip::none);
  EXPECT_EQ(all[0].module, "model.layers.0.self_attn.q_proj");
}

TEST(Assign, OneGroupForEveryLayerOfAScheme) {
  std::vector<std::string> notes;
  const auto all = assign(parse("scheme: W4A16"), tensors(), notes);
  for (const Assignment& a : all) EXPECT_EQ(a.scheme->weights.group, 32);
  EXPECT_THAT(notes, ElementsAre(HasSubstr("groups of 32 instead of 128")));
  notes.clear();
  const auto without_down =
      assign(parse("scheme: W4A16\nlayers: [{match: 're:.*down_proj', keep: true}]"), tensors(), notes);
  EXPECT_EQ(without_down[0].scheme->weights.group, 64);
  const auto mixed = assigned("scheme: W4A16\nlayers: [{match: 're:.*down_proj', group: 16}]");
  EXPECT_EQ(mixed[0].scheme->weights.group, 64);
  EXPECT_EQ(mixed[6].scheme->weights.group, 16);
  EXPECT_EQ(mixed[6].clip, Clip::mse);
}

TEST(Assign, GroupsThatDoNotFit) {
  EXPECT_EQ(not_assigned("scheme: W4A16\ngroup: 64"),
            "r.yaml: group 64 does not divide the 96 columns of model.layers.0.mlp.down_proj; the largest "
            "that does is 32");
  EXPECT_THAT(not_assigned("scheme: W4A16\nlayers:\n- {match: 're:.*down_proj', group: 128}"),
              HasSubstr("r.yaml:3: group 128 does not divide"));
  EXPECT_THAT(not_assigned("scheme: W4A16\ngroup: 48"), HasSubstr("expected a power of two from 16"));
  EXPECT_THAT(not_assigned("scheme: W8A16\ngroup: 32"), HasSubstr("W8A16 has no group size to choose"));
}

TEST(Assign, GroupsThatAFormatDefines) {
  EXPECT_EQ(assigned("scheme: MXFP4")[0].scheme->weights.group, 32);
  EXPECT_THAT(not_assigned("scheme: MXFP4\ngroup: 16"),
              HasSubstr("MXFP4 has groups of 32 by its definition"));
  base::Json config = test::tiny_config("llama");
  config["hidden_size"] = 64;
  config["intermediate_size"] = 80;
  config["head_dim"] = 16;
  config["num_attention_heads"] = 4;
  std::vector<std::string> notes;
  const ModelTensors narrow = list_tensors(*test::random_checkpoint(config));
  EXPECT_THAT(
      message_of([&] { assign(parse("scheme: MXFP4"), narrow, notes); }),
      HasSubstr("r.yaml: MXFP4 has groups of 32, which do not divide every width of its layers; 16 would"));
  const auto tiles = assign(parse("scheme: FP8_BLOCK"), narrow, notes);
  EXPECT_EQ(tiles[0].scheme->weights.group, 16);
  EXPECT_EQ(tiles[0].scheme->input.group, 16);
}

TEST(Assign, RulesThatNameNoneOrTheSame) {
  EXPECT_THAT(
      not_assigned("scheme: W4A16\nlayers:\n  - {match: 're:.*dwn_proj', keep: true}"),
      HasSubstr("r.yaml:3: no layer matches re:.*dwn_proj; names look like model.layers.0.self_attn.q_proj"));
  EXPECT_THAT(
      not_assigned("scheme: W4A16\nlayers:\n  - {match: 're:.*o_proj', keep: true}\n"
                   "  - {match: 're:.*layers.1.*', scheme: W8A16}"),
      HasSubstr("r.yaml:4: model.layers.1.self_attn.o_proj is named by this rule and by that of line 3"));
  EXPECT_THAT(not_assigned("scheme: W4A16\nlayers: [{match: lm_head, scheme: W8A16}]"),
              HasSubstr("lm_head is no linear"));
  EXPECT_THAT(not_assigned("scheme: W4A16\nlayers: [{match: 're:(', keep: true}]"), HasSubstr("expression"));
  EXPECT_THAT(not_assigned("scheme: W4A16\nlayers: [{match: 're:.*', keep: true}]"),
              HasSubstr("every layer stays in 16 bits"));
  EXPECT_THAT(assigned("scheme: W4A16\nlayers: [{match: lm_head, keep: true}]"), SizeIs(14));
}

TEST(Assign, FusedLayersShareTheirScheme) {
  const std::string rule = "scheme: W4A16\nlayers:\n- {match: 're:.*layers.1.*k_proj', scheme: W8A16}\n";
  const std::string message = not_assigned(rule);
  EXPECT_THAT(message, HasSubstr("r.yaml:3: model.layers.1.self_attn.q_proj is W4A16 in groups of 32 but "
                                 "model.layers.1.self_attn.k_proj is W8A16"));
  EXPECT_THAT(message, HasSubstr("q_proj, k_proj, v_proj"));
  EXPECT_EQ(scheme_of(assigned(rule + "allow_unfused: true"), "model.layers.1.self_attn.k_proj"), "W8A16");
  EXPECT_THAT(not_assigned("scheme: W4A16\nlayers: [{match: 're:.*up_proj', keep: true}]"),
              HasSubstr("gate_proj"));
  EXPECT_THAT(assigned("scheme: W4A16\nlayers: [{match: 're:.*layers.1.*[qkv]_proj', scheme: W8A16}]"),
              SizeIs(14));
}

TEST(Assign, OnlyTheNamedLayers) {
  const auto all = assigned("layers: [{match: 're:.*mlp.*', scheme: W8A8}]");
  EXPECT_EQ(scheme_of(all, "model.layers.0.mlp.up_proj"), "W8A8");
  EXPECT_EQ(scheme_of(all, "model.layers.0.self_attn.q_proj"), "16");
}

}  // namespace
}  // namespace aquatint::quant
