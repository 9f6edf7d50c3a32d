// QuaRot (Ashkboos et al., arXiv 2404.00456): Hadamard rotations of the residual stream, of each head's
// values, of what the down projection reads and, for a cache of few bits, of each head's queries and keys.
// The first two are folded into the weights. Signs are random throughout, and widths that are no power of two
// have rotations too (tensor/rotation.h). Here the output projection's input is rotated within heads only.
#include <array>

#include "quant/method.h"
#include "quant/weight_rotation.h"

namespace aquatint::quant {
namespace {

constexpr std::array kSettings = {
    MethodSetting{"seed", MethodSetting::Type::integer, 0, 0, 0x1p40, "of the random signs"},
    MethodSetting{"untie", MethodSetting::Type::boolean, 0, 0, 1,
                  "a tied embedding and head become two matrices, with nothing left to the run"},
    MethodSetting{"online", MethodSetting::Type::boolean, 1, 0, 1,
                  "rotates the inputs of down_proj at run time"},
    MethodSetting{"cache", MethodSetting::Type::boolean, 0, 0, 1,
                  "rotates queries and keys at run time, for caches of few bits"}};

WeightRotations rotations(const model::Config& config, const base::Json& settings) {
  RotationMaker make("quarot", settings);
  WeightRotations out;
  rotate_residual(make, config, settings, out);
  out.values = make("heads", config.head_dim);
  if (settings.at("online").get<bool>())
    out.run.down_in = make("inputs of down_proj", config.intermediate_size);
  if (settings.at("cache").get<bool>()) out.run.query_key = make("queries and keys", config.head_dim);
  return out;
}

}  // namespace

const Method quarot = {.name = "quarot",
                       .note = "rotates the model so that weights and inputs have no outliers; comes first",
                       .settings = kSettings,
                       .rotate = rotations};

}  // namespace aquatint::quant
