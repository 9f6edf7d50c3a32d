// LLM.int8() (Dettmers et al., arXiv 2208.07339): int8 on both sides, one scale for each row of the weights
// and each token; inputs from a threshold on meet the weights in 16 bits. Outliers are found at run time
// (kernels/input_rounding.h), so what is left to do here is rtn's, and to say the threshold.
#include <array>

#include "base/error.h"
#include "quant/method.h"

namespace aquatint::quant {
namespace {

constexpr std::array kSettings = {MethodSetting{"threshold", MethodSetting::Type::number, 6, 1e-3, 1e6,
                                                "magnitude from which on an input stays in 16 bits"}};

void extend(const base::Json& settings, numeric::Scheme& scheme) {
  const numeric::Scheme& preset = *numeric::find_scheme("LLM_INT8");
  if (scheme.name != preset.name && scheme.name != "W8A8")
    throw base::BadUsage(fmt::format("llm_int8: {} is not int8 on both sides; choose LLM_INT8", scheme.name));
  const numeric::LowRankScheme low_rank = scheme.weights.low_rank;
  scheme = preset;
  scheme.weights.low_rank = low_rank;
  scheme.input.outlier_threshold = settings.at("threshold").get<float>();
}

tensor::QuantizedMatrix quantize(std::span<const float> weights, int64_t rows, int64_t cols,
                                 const numeric::WeightScheme& scheme, const MethodOptions& options,
                                 base::ThreadPool& pool) {
  return rtn.quantize(weights, rows, cols, scheme, options, pool);
}

}  // namespace

const Method llm_int8 = {
    .name = "llm_int8",
    .note = "int8 on both sides, outliers of the inputs in 16 bits; needs no calibration",
    .quantize = quantize,
    .settings = kSettings,
    .extend = extend,
};

}  // namespace aquatint::quant
