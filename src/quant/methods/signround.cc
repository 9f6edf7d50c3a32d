// SignRound (Cheng et al., arXiv 2309.05516) on each linear's own output error, tr(ΔW H ΔWᵀ), instead of its
// block's: the Gram matrix of the inputs gives the exact gradient over all calibration tokens, 2 ΔW H, so
// there are no batches and nothing is run again. Rows do not touch each other: each keeps its best iterate,
// so none is worse than rtn's.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "quant/input_statistics.h"
#include "quant/methods/learned_rounding.h"

namespace aquatint::quant {
namespace {

constexpr int64_t kSlab = 32;  // rows that meet the Gram matrix together
constexpr std::array kSettings = {MethodSetting{"steps", MethodSetting::Type::integer, 200, 1, 10000,
                                                "of size 1 / steps at first, falling to none"}};

void learn_slab(LearnedRounding& rounding, std::span<const float> weights, const InputStatistics& inputs,
                int64_t first, int64_t rows, int steps) {
  const int64_t cols = rounding.cols();
  std::vector<float> errors(static_cast<size_t>(rows * cols)), gradient(errors.size());
  std::vector<double> least(static_cast<size_t>(rows), std::numeric_limits<double>::infinity());
  for (int step = 0; step <= steps; ++step) {
    for (int64_t r = 0; r < rows; ++r) {
      rounding.round(first + r, errors.data() + r * cols);
      for (int64_t c = 0; c < cols; ++c)
        errors[static_cast<size_t>(r * cols + c)] -= weights[static_cast<size_t>((first + r) * cols + c)];
    }
    std::fill(gradient.begin(), gradient.end(), 0.0f);
    inputs.backend().host_kernels().add_product(
        {errors.data(), cols, inputs.gram().data(), cols, gradient.data(), cols, rows, cols, cols});
    for (int64_t r = 0; r < rows; ++r) {
      double loss = 0;
      for (int64_t i = r * cols; i < (r + 1) * cols; ++i)
        loss += double{errors[static_cast<size_t>(i)]} * double{gradient[static_cast<size_t>(i)]};
      if (loss < least[static_cast<size_t>(r)]) {
        least[static_cast<size_t>(r)] = loss;
        rounding.keep(first + r);
      }
      rounding.step(first + r, gradient.data() + r * cols, {step, steps});
    }
  }
}

tensor::QuantizedMatrix quantize(std::span<const float> weights, int64_t rows, int64_t cols,
                                 const numeric::WeightScheme& scheme, const MethodOptions& options,
                                 base::ThreadPool& pool) {
  AQ_CHECK(options.inputs && options.inputs->cols() == cols, "signround without its inputs");
  const auto steps = options.settings.at("steps").get<int>();
  LearnedRounding rounding(weights, rows, cols, scheme, options, "signround", pool);
  pool.parallel_for(base::ceil_div(rows, kSlab), 1, [&](int64_t begin, int64_t end) {
    for (int64_t slab = begin; slab < end; ++slab)
      learn_slab(rounding, weights, *options.inputs, slab * kSlab, std::min(kSlab, rows - slab * kSlab),
                 steps);
  });
  return rounding.matrix();
}

}  // namespace

const Method signround = {
    "signround", "learns how to round by each linear's output error, by signed gradient; needs calibration",
    quantize,    nullptr,
    kSettings,   true,
    true};

}  // namespace aquatint::quant
