// HQQ (Badri and Shaji, "Half-Quadratic Quantization of Large Machine Learning Models", 2023): without
// calibration, a block's zero-point minimises Σ |error|^p with p < 1, which lets few errors be large so that
// most are small. Half-quadratic splitting: errors that the proximal step of the norm keeps are taken out of
// the weights, the rest is fitted by least squares, and β, which ties the two together, grows.
//
// Otherwise than in the paper: errors are in units of the block's first scale, so that β means the same for
// every block (of weights as they are, the authors' β of 10 keeps no error); the best iterate is taken, not
// the last; without zero-points the scale is fitted. Fitting it beside them is offered, and loses: SmolLM2,
// W4A16_MIN in groups of 64, mean KLD 0.221 against 0.210 (rtn 0.284, with its search 0.242). Integer
// zero-points hardly move: there hqq is rtn unless scales are fitted.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "quant/methods/block_rounding.h"

namespace aquatint::quant {
namespace {

using Type = MethodSetting::Type;
constexpr std::array kSettings = {
    MethodSetting{"p", Type::number, 0.7, 0.1, 1, "of the norm of errors"},
    MethodSetting{"beta", Type::number, 10, 0.01, 1e6, "larger keeps more errors as they are"},
    MethodSetting{"growth", Type::number, 1.01, 1, 2, "of beta, by iteration"},
    MethodSetting{"iterations", Type::integer, 20, 1, 1000, "at most"},
    MethodSetting{"fit_scale", Type::boolean, 0, 0, 1, "along with the zero-point"},
};

struct Parameters {
  double p, beta, growth;
  int iterations;
  bool fit_scale;
};

// One block on its way.
class Fit {
 public:
  Fit(const Block& block, const BlockRule& rule, const Parameters& parameters, bool has_zero)
      : block_(block),
        rule_(rule),
        parameters_(parameters),
        has_zero_(has_zero),
        scales_(static_cast<size_t>(block.size)),
        zeros_(has_zero ? scales_.size() : 0),
        rounded_(scales_.size()),
        targets_(scales_.size()),
        codes_(scales_.size()) {}

  BlockScale run() {
    BlockScale at = rule_.choose(block_), best = at;
    unit_ = std::fabs(at.scale);
    double least = INFINITY, beta = parameters_.beta;
    for (int i = 0; i < parameters_.iterations; ++i, beta *= parameters_.growth) {
      const double loss = round(at, beta);
      if (loss < least) {
        least = loss;
        best = at;
      } else if (i > 0 && at.scale == last_.scale && at.zero == last_.zero) {
        break;
      }
      last_ = at;
      at = rule_.stored(has_zero_ ? fit_zero(at) : fit_scale(at));
    }
    return best;
  }

 private:
  // Σ |error|^p, and what least squares are to fit: the weights without the errors that are kept.
  double round(const BlockScale& at, double beta) {
    std::fill(scales_.begin(), scales_.end(), at.scale);
    std::fill(zeros_.begin(), zeros_.end(), at.zero);
    rule_.round(block_.values, scales_.data(), has_zero_ ? zeros_.data() : nullptr, block_.size,
                codes_.data(), rounded_.data());
    double loss = 0;
    for (size_t i = 0; i < rounded_.size(); ++i) {
      const float error = (block_.values[i] - rounded_[i]) / unit_, size = std::fabs(error);
      const float power = size > 0 ? std::pow(size, static_cast<float>(parameters_.p)) : 0;
      loss += double{power};
      const float kept = size > 0 ? std::max(size - power / size / static_cast<float>(beta), 0.0f) : 0;
      targets_[i] = block_.values[i] - std::copysign(kept, error) * unit_;
    }
    return loss;
  }

  // The code of a value in units of the scale, around no zero-point.
  double code(size_t i, const BlockScale& at) const {
    return double{rounded_[i]} / double{at.scale} + double{at.zero};
  }

  BlockScale fit_zero(const BlockScale& at) const {
    const auto n = static_cast<double>(rounded_.size());
    double codes = 0, targets = 0, squares = 0, products = 0;
    for (size_t i = 0; i < rounded_.size(); ++i) {
      const double c = code(i, at), t = targets_[i];
      codes += c, targets += t, squares += c * c, products += c * t;
    }
    const double spread = squares - codes * codes / n, slope = (products - codes * targets / n) / spread;
    const bool fitted = parameters_.fit_scale && spread > 1e-6 * squares && slope > 0;
    const double scale = fitted ? slope : double{at.scale};
    const double zero = codes / n - targets / n / scale;
    return {static_cast<float>(scale), static_cast<float>(zero)};
  }

  BlockScale fit_scale(const BlockScale& at) const {
    double squares = 0, products = 0;
    for (size_t i = 0; i < rounded_.size(); ++i) {
      const double c = code(i, at);
      squares += c * c, products += c * double{targets_[i]};
    }
    return {squares > 0 && products != 0 ? static_cast<float>(products / squares) : at.scale};
  }

  const Block& block_;
  const BlockRule& rule_;
  const Parameters& parameters_;
  bool has_zero_;
  float unit_ = 1;
  BlockScale last_;
  std::vector<float> scales_, zeros_, rounded_, targets_;
  std::vector<uint8_t> codes_;
};

void check(const numeric::WeightScheme& scheme) {
  if (scheme.scale_format->bits < 16 || scheme.double_quantized)
    throw base::BadUsage(fmt::format(
        "hqq fits scales of 16 or 32 bits, but those of {} weights are {} here; take rtn or gptq",
        scheme.format->name,
        scheme.double_quantized ? std::string_view("double quantized") : scheme.scale_format->name));
}

tensor::QuantizedMatrix quantize(std::span<const float> weights, int64_t rows, int64_t cols,
                                 const numeric::WeightScheme& scheme, const MethodOptions& options,
                                 base::ThreadPool& pool) {
  check(scheme);
  const base::Json& s = options.settings;
  const Parameters parameters = {s.at("p").get<double>(), s.at("beta").get<double>(),
                                 s.at("growth").get<double>(), s.at("iterations").get<int>(),
                                 s.at("fit_scale").get<bool>()};
  const auto rule = BlockRule::of(scheme, options.clip, "hqq");
  return round_blocks(
      weights, rows, cols, scheme, options, *rule, 1,
      [&](const Block& block) { return Fit(block, *rule, parameters, !scheme.symmetric).run(); }, pool);
}

}  // namespace

const Method hqq = {"hqq",     "fits scales and zero-points to a norm below 1; needs no calibration",
                    quantize,  nullptr,
                    kSettings, false};

}  // namespace aquatint::quant
