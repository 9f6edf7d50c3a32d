#include <gmock/gmock.h>

#include "../model/fake_checkpoint.h"
#include "base/error.h"
#include "quant/recipe.h"

namespace aquatint::quant {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

Recipe parse(const std::string& yaml) { return parse_recipe(yaml, "r.yaml"); }
std::string refused(const std::string& yaml) {
  try {
    parse(yaml);
  } catch (const base::BadInput& e) {
    return e.what();
  }
  return "nothing was thrown";
}

TEST(LlmCompressor, SmoothQuantAndGptqInAStage) {
  const Recipe r = parse(R"(
quant_stage:
  quant_modifiers:
    SmoothQuantModifier:
      smoothing_strength: 0.8
      mappings:
        - [['re:.*q_proj', 're:.*k_proj', 're:.*v_proj'], 're:.*input_layernorm']
    GPTQModifier:
      sequential_update: true
      dampening_frac: 0.1
      block_size: 64
      ignore: [lm_head]
      config_groups:
        group_0:
          targets: [Linear]
          weights: {num_bits: 8, type: int, symmetric: true, strategy: channel, observer: mse}
          input_activations: {num_bits: 8, type: int, symmetric: true, strategy: token, dynamic: true}
          output_activations: null
)");
  EXPECT_EQ(r.scheme->name, "W8A8");
  EXPECT_EQ(r.clip, Clip::mse);
  ASSERT_THAT(r.methods, SizeIs(2));
  EXPECT_EQ(r.methods[0].method->name, "smoothquant");
  EXPECT_EQ(r.methods[0].settings["alpha"], 0.8);
  EXPECT_EQ(r.methods[1].method->name, "gptq");
  EXPECT_EQ(r.methods[1].settings, base::Json({{"damp", 0.1}, {"block", 64}, {"act_order", true}}));
  ASSERT_THAT(r.layers, SizeIs(1));
  EXPECT_THAT(r.layers[0].match, ElementsAre("lm_head"));
  EXPECT_TRUE(r.layers[0].keep);
  EXPECT_THAT(r.notes, ElementsAre(HasSubstr("r.yaml:7: SmoothQuantModifier.mappings is not used"),
                                   HasSubstr("r.yaml:9: GPTQModifier.sequential_update has no effect")));
}

TEST(LlmCompressor, PresetsWithTargets) {
  const Recipe r = parse(
      "default_stage:\n  default_modifiers:\n    QuantizationModifier:\n"
      "      targets: [Linear]\n      ignore: [lm_head, 're:.*mlp.gate$']\n      scheme: FP8_DYNAMIC\n");
  EXPECT_EQ(r.scheme->name, "FP8_DYNAMIC");
  EXPECT_EQ(r.methods[0].method->name, "rtn");
  EXPECT_THAT(r.layers, SizeIs(2));
  const Recipe mixed =
      parse("QuantizationModifier: {scheme: {W4A16: ['re:.*mlp.*'], INT8: Linear}, ignore: lm_head}");
  EXPECT_EQ(mixed.scheme->name, "W8A8");
  EXPECT_EQ(mixed.layers[0].scheme->name, "W4A16");
  EXPECT_THAT(mixed.layers[0].except, ElementsAre("lm_head"));
}

TEST(LlmCompressor, AFlatListOfModifiers) {
  const Recipe r = parse(
      "- AWQModifier: {n_grid: 10, duo_scaling: true}\n"
      "- QuantizationModifier: {scheme: W4A16_ASYM, ignore: [lm_head]}\n");
  EXPECT_EQ(r.scheme->name, "W4A16_ASYM");
  ASSERT_THAT(r.methods, SizeIs(2));
  EXPECT_EQ(r.methods[0].settings["grid"], 10);
  EXPECT_EQ(r.methods[1].method->name, "rtn");
}

TEST(LlmCompressor, GroupsAndActOrder) {
  const Recipe r = parse(R"(
GPTQModifier:
  config_groups:
    group_0:
      targets: ['re:.*down_proj']
      weights: {num_bits: 4, symmetric: true, strategy: group, group_size: 32, actorder: group}
    group_1:
      targets: [Linear]
      weights: {num_bits: 8, strategy: channel, observer: minmax}
)");
  EXPECT_EQ(r.scheme->name, "W8A16");
  EXPECT_EQ(r.clip, Clip::none);
  ASSERT_THAT(r.layers, SizeIs(1));
  EXPECT_EQ(r.layers[0].scheme->name, "W4A16");
  EXPECT_EQ(r.layers[0].group, 32);
  EXPECT_EQ(r.methods[0].settings["act_order"], true);
  EXPECT_THAT(r.notes, ElementsAre(HasSubstr("actorder group is done as static")));
  EXPECT_EQ(parse("GPTQModifier: {scheme: W4A16, actorder: static}").methods[0].settings["act_order"], true);
}

// As llm-compressor saves a recipe beside the weights: every argument, most of them empty.
TEST(LlmCompressor, ASavedRecipe) {
  const Recipe r = parse(R"(
default_stage:
  default_modifiers:
    AWQModifier:
      config_groups:
        group_0:
          targets: [Linear]
          weights: {num_bits: 4, type: int, symmetric: false, group_size: 128, strategy: group,
                    block_structure: null, dynamic: false, actorder: null, observer: mse, observer_kwargs: {},
                    scale_dtype: null, zp_dtype: torch.int8}
          input_activations: null
          output_activations: null
          format: null
      targets: ['re:.*mlp.*']
      ignore: [lm_head]
      duo_scaling: true
      sequential_targets: null
)");
  EXPECT_EQ(r.scheme->name, "W4A16_ASYM");
  EXPECT_EQ(r.group, 128);
  EXPECT_EQ(r.clip, Clip::mse);
  EXPECT_THAT(r.notes, ElementsAre(HasSubstr("r.yaml:14: targets has no effect beside config_groups"),
                                   HasSubstr("r.yaml:10: weights.zp_dtype has no effect")));
}

TEST(LlmCompressor, ArgumentsOfEveryKindOfScheme) {
  const auto scheme = [](const std::string& arguments) {
    const Recipe r =
        parse("QuantizationModifier: {config_groups: {g: {targets: [Linear], " + arguments + "}}}");
    return fmt::format("{} {}", r.scheme->name, r.group);
  };
  const std::string fp8 = "{num_bits: 8, type: float, ", fp4 = "{num_bits: 4, type: float, ";
  EXPECT_EQ(scheme("weights: " + fp8 + "strategy: tensor}, input_activations: " + fp8 + "strategy: tensor}"),
            "FP8 0");
  EXPECT_EQ(scheme("weights: " + fp8 + "strategy: channel}, input_activations: " + fp8 +
                   "strategy: token, dynamic: true}"),
            "FP8_DYNAMIC 0");
  EXPECT_EQ(scheme("weights: " + fp8 + "strategy: block, block_structure: [128, 128]}, input_activations: " +
                   fp8 + "strategy: group, group_size: 128, dynamic: true}"),
            "FP8_BLOCK 0");
  EXPECT_EQ(scheme("weights: " + fp4 +
                   "strategy: tensor_group, group_size: 16, scale_dtype: torch.float8_e4m3fn}, "
                   "input_activations: " +
                   fp4 + "strategy: tensor_group, group_size: 16, dynamic: local}"),
            "NVFP4 0");
  EXPECT_EQ(scheme("weights: " + fp4 + "strategy: group, group_size: 32, scale_dtype: torch.uint8}"),
            "MXFP4A16 0");
  EXPECT_EQ(
      scheme("weights: {num_bits: 4, strategy: group, group_size: 32}, input_activations: {strategy: token, "
             "dynamic: true}"),
      "W4A8 32");
}

TEST(LlmCompressor, TwoModifiersWithSchemes) {
  const Recipe r = parse(
      "QuantizationModifier: {scheme: FP8_DYNAMIC, targets: ['re:.*self_attn.*']}\n"
      "GPTQModifier: {scheme: W4A16, targets: ['re:.*mlp.*']}");
  EXPECT_EQ(r.scheme, nullptr);
  ASSERT_THAT(r.layers, SizeIs(2));
  EXPECT_EQ(r.layers[1].scheme->name, "W4A16");
  EXPECT_THAT(r.notes,
              ElementsAre(HasSubstr("r.yaml:2: the methods of all modifiers are used on all layers")));
}

TEST(LlmCompressor, IgnoredLayersStayAndIdleOnesAreTold) {
  base::Json config = test::tiny_config("llama");
  config["hidden_size"] = 64;
  config["intermediate_size"] = 128;
  const ModelTensors tensors = list_tensors(*test::random_checkpoint(config));
  std::vector<std::string> notes;
  const auto all = assign(parse("QuantizationModifier:\n  scheme: W8A8\n"
                                "  ignore: [lm_head, 're:.*block_sparse_moe.gate', 're:.*o_proj']"),
                          tensors, notes);
  EXPECT_THAT(notes, ElementsAre(HasSubstr("r.yaml:3: no layer matches re:.*block_sparse_moe.gate")));
  for (const Assignment& a : all) EXPECT_EQ(a.scheme.has_value(), !a.module.ends_with("o_proj")) << a.module;
}

TEST(LlmCompressor, RefusesWhatItCannotHonour) {
  EXPECT_THAT(refused("sparsity_stage:\n  sparsity_modifiers:\n    SparseGPTModifier: {sparsity: 0.5}"),
              HasSubstr("r.yaml:3: modifier SparseGPTModifier is not supported"));
  EXPECT_THAT(refused("SmoothQuantModifier: {smoothing_strength: 0.5}"),
              HasSubstr("nothing would be quantized"));
  EXPECT_THAT(refused("QuantizationModifier: {scheme: W9A9}"), HasSubstr("scheme 'W9A9' is not supported"));
  EXPECT_THAT(refused("QuantizationModifier:\n  scheme: W8A8\n  kv_cache_scheme: {num_bits: 8}"),
              HasSubstr("r.yaml:3: kv_cache_scheme"));
  EXPECT_EQ(parse("QuantizationModifier:\n  scheme: W8A8\n  kv_cache_scheme: {num_bits: 8, type: float, "
                  "strategy: tensor, dynamic: false, symmetric: true}")
                .kv,
            numeric::find_kv_scheme("KVFP8"));
  EXPECT_THAT(refused("GPTQModifier:\n  scheme: W4A16\n  dampening: 0.1"),
              HasSubstr("r.yaml:3: GPTQModifier.dampening cannot be honoured"));
  EXPECT_THAT(refused("GPTQModifier: {scheme: W4A16, actorder: sideways}"),
              HasSubstr("actorder 'sideways' is unknown"));
  EXPECT_THAT(refused("AWQModifier: {scheme: W4A16_ASYM, duo_scaling: false}"), HasSubstr("duo_scaling"));
  EXPECT_THAT(
      refused(
          "QuantizationModifier: {config_groups: {g: {targets: [Linear], weights: {num_bits: 8, type: float, "
          "strategy: block, block_structure: [64, 128]}}}}"),
      HasSubstr("needs block_structure: [128, 128]"));
  EXPECT_THAT(refused("SmoothQuantModifier: {ignore: ['re:.*mlp.*']}"),
              HasSubstr("cannot be left out of smoothing"));
  EXPECT_THAT(
      refused("QuantizationModifier: {config_groups: {g: {targets: [Linear], weights: {num_bits: 7}}}}"),
      HasSubstr("int of 7 bits"));
  EXPECT_THAT(
      refused("QuantizationModifier: {config_groups: {g: {targets: [Linear], weights: {num_bits: 8, "
              "strategy: channel}, "
              "input_activations: {num_bits: 8, strategy: token, dynamic: true, symmetric: false}}}}"),
      HasSubstr("no scheme here has these weights and inputs"));
  EXPECT_THAT(
      refused(
          "QuantizationModifier: {config_groups: {g: {targets: [Linear], weights: {num_bits: 8, bits: 8}}}}"),
      HasSubstr("unknown key 'bits'"));
  EXPECT_THAT(refused("QuantizationModifier: {scheme: W8A8}\nGPTQModifier: {scheme: W4A16}"),
              HasSubstr("r.yaml:2: a second scheme for all"));
  EXPECT_THAT(refused("quant_stage: {quant_modifiers: gptq}"), HasSubstr("'gptq' is no modifier"));
  EXPECT_THAT(refused("quant_stage: {GPTQModifier: {scheme: W4A16}, other: 3}"),
              HasSubstr("'other' is neither"));
}

}  // namespace
}  // namespace aquatint::quant
