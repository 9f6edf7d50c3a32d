// SignRound (Cheng et al., arXiv 2309.05516) on each linear's own output error, tr(ΔW H ΔWᵀ), instead of its
// block's: the Gram matrix of the inputs gives the gradient over all calibration tokens, 2 ΔW H, so there are
// no batches and nothing is run again. Rows do not touch each other: each keeps its best iterate, rtn's being
// the first, as far as products in the model's own precision tell them apart.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "model/dense.h"
#include "quant/input_statistics.h"
#include "quant/methods/learned_rounding.h"

namespace aquatint::quant {
namespace {

constexpr int64_t kRows = 2048;  // that meet the Gram matrix together
constexpr std::array kSettings = {MethodSetting{"steps", MethodSetting::Type::integer, 200, 1, 10000,
                                                "of size 1 / steps at first, falling to none"}};

// Some rows and the packed Gram matrix that their errors are multiplied with.
struct Slab {
  LearnedRounding& rounding;
  std::span<const float> weights;
  const kernels::PackedMatrix& gram;
  const model::Backend& backend;
  int64_t first, rows;
};

void learn(const Slab& s, int steps) {
  const int64_t cols = s.rounding.cols();
  std::vector<float> errors(static_cast<size_t>(s.rows * cols)), gradient(errors.size());
  std::vector<double> least(static_cast<size_t>(s.rows), std::numeric_limits<double>::infinity());
  const auto round = [&](int64_t r) {
    float* error = errors.data() + r * cols;
    s.rounding.round(s.first + r, error);
    for (int64_t c = 0; c < cols; ++c) error[c] -= s.weights[static_cast<size_t>((s.first + r) * cols + c)];
  };
  const auto keep_if_better = [&](int64_t r) {
    double loss = 0;
    for (int64_t i = r * cols; i < (r + 1) * cols; ++i)
      loss += double{errors[static_cast<size_t>(i)]} * double{gradient[static_cast<size_t>(i)]};
    if (loss >= least[static_cast<size_t>(r)]) return;
    least[static_cast<size_t>(r)] = loss;
    s.rounding.keep(s.first + r);
  };
  const auto each_row = [&](auto body) {
    s.backend.pool->parallel_for(s.rows, 16, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) body(r);
    });
  };
  for (int step = 0; step <= steps; ++step) {
    each_row(round);
    s.backend.host_kernels().linear(s.gram, errors.data(), s.rows, kernels::Phase::prefill, nullptr, false,
                                    gradient.data(), cols, *s.backend.pool);
    each_row([&](int64_t r) {
      keep_if_better(r);
      s.rounding.step(s.first + r, gradient.data() + r * cols, {step, steps});
    });
  }
}

tensor::QuantizedMatrix quantize(std::span<const float> weights, int64_t rows, int64_t cols,
                                 const numeric::WeightScheme& scheme, const MethodOptions& options,
                                 base::ThreadPool& pool) {
  AQ_CHECK(options.inputs && options.inputs->cols() == cols, "signround without its inputs");
  const model::Backend& backend = options.inputs->backend();
  LearnedRounding rounding(weights, rows, cols, scheme, options, "signround", pool);
  const auto gram = model::pack_dense(options.inputs->gram(), cols, cols, backend);
  for (int64_t first = 0; first < rows; first += kRows)
    learn({rounding, weights, *gram, backend, first, std::min(kRows, rows - first)},
          options.settings.at("steps").get<int>());
  return rounding.matrix();
}

}  // namespace

const Method signround = {
    "signround", "learns how to round by each linear's output error, by signed gradient; needs calibration",
    quantize,    nullptr,
    kSettings,   true,
    true};

}  // namespace aquatint::quant
