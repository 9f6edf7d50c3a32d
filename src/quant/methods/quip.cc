// QuIP (Chee et al., arXiv 2307.13304) with the Hadamard rotations of QuIP# (Tseng et al., arXiv 2402.04396):
// every weight matrix is rotated on both sides, then rounded with feedback along the factors of H, which is
// what gptq does: it finds the codes unless the recipe says otherwise. The residual stream's side is folded
// into the weights; the others, which attention or the activation stand behind, are turned at run time.
#include <array>

#include "quant/method.h"
#include "quant/weight_rotation.h"

namespace aquatint::quant {
namespace {

constexpr std::array kSettings = {
    MethodSetting{"seed", MethodSetting::Type::integer, 0, 0, 0x1p40, "of the random signs"},
    MethodSetting{"untie", MethodSetting::Type::boolean, 0, 0, 1,
                  "a tied embedding and head become two matrices, rotated in their weights"}};

WeightRotations rotations(const model::Config& config, const base::Json& settings) {
  RotationMaker make("quip", settings);
  WeightRotations out;
  rotate_residual(make, config, settings, out);
  out.run.attention_out_in = make("inputs of o_proj", config.q_width());
  out.run.down_in = make("inputs of down_proj", config.intermediate_size);
  out.run.query_out = make("queries", config.q_width());
  out.run.key_value_out = make("keys and values", config.kv_width());
  out.run.gate_up_out = make("outputs of gate_proj and up_proj", config.intermediate_size);
  return out;
}

}  // namespace

const Method quip = {.name = "quip",
                     .note = "rotates both sides of every matrix; codes by gptq unless said otherwise",
                     .settings = kSettings,
                     .rotate = rotations,
                     .finder = "gptq"};

}  // namespace aquatint::quant
