// Quantization error propagation (Arai & Ichikawa, arXiv 2504.09629; the asymmetric calibration of GPTAQ, Li
// et al., arXiv 2504.02692, has the same aim): what is quantized before a linear has moved its inputs from x
// to x̂. Before its codes are found its weights become those that make the exact output of the moved input,
//   min over W' of Σ |W x − W' x̂|²,  W' = W + strength · W Σ (x − x̂) x̂ᵀ (H + λI)⁻¹,
// and linears that write into the residual stream also take back what that has drifted by. Whichever method
// then finds the codes keeps close to W'.
#include <array>

#include "quant/block_weights.h"
#include "quant/drift.h"
#include "quant/linear_algebra.h"
#include "quant/method.h"

namespace aquatint::quant {
namespace {

using Type = MethodSetting::Type;
constexpr std::array kSettings = {
    MethodSetting{"strength", Type::number, 1, 0, 1,
                  "share of the drift of its inputs that a linear takes back"},
    MethodSetting{"residual", Type::number, 1, 0, 1, "the same of the residual stream that it writes into"},
    MethodSetting{"damp", Type::number, 0.01, 0, 1, "added to H's diagonal, as a share of its mean"},
};

void add_scaled(const std::vector<float>& what, float factor, std::vector<float>& to) {
  for (size_t i = 0; i < to.size(); ++i) to[i] += factor * what[i];
}

void correct(BlockWeights& block, model::Stage stage, const Drift& drift, const base::Json& settings) {
  const auto damp = settings.at("damp").get<double>();
  const auto strength = settings.at("strength").get<float>(), residual = settings.at("residual").get<float>();
  const InputStatistics& inputs = drift.inputs();
  const std::vector<float> of_inputs = drift.of_inputs(damp), of_residual = drift.of_residual(damp);
  for (BlockWeights::Linear& linear : block.linears(stage)) {
    add_scaled(product(linear.values, linear.matrix->rows, of_inputs, inputs.cols(), inputs.backend()),
               strength, linear.values);
    if (!of_residual.empty()) add_scaled(of_residual, residual, linear.values);
  }
}

}  // namespace

const Method qep = {
    .name = "qep",
    .note = "makes up for what layers before have lost; needs calibration, before gptq or rtn",
    .settings = kSettings,
    .needs_calibration = true,
    .needs_gram = true,
    .correct = correct};

}  // namespace aquatint::quant
