// ZeroQuant's layer-by-layer knowledge distillation (Yao et al., arXiv 2206.01861): the weights of a block
// follow the gradient of the squared distance between the quantized block's output and the 16-bit block's, by
// Adam (Kingma & Ba, arXiv 1412.6980), and are rounded to the nearest code; the gradient passes through
// rounding. Its formats are integers in groups under inputs rounded by token: int8:group64/int8:token,
// int4:group64/int8:token.
//
// Otherwise than in the paper: scales stay those that rtn finds for the first weights, so that a weight has
// to pass the middle between two codes to change; steps are measured in them; the teacher's inputs come from
// 16-bit blocks, the student's from quantized ones, so that a block takes back what others lost.
#include <array>
#include <cmath>

#include "quant/methods/block_learner.h"
#include "quant/methods/grids.h"

namespace aquatint::quant {
namespace {

using Type = MethodSetting::Type;
constexpr std::array kSettings = {
    MethodSetting{"steps", Type::integer, 100, 1, 10000, "of a block"},
    MethodSetting{"rate", Type::number, 0.02, 1e-6, 1,
                  "of the first step, in steps of the grid; falls to none"},
    kBatchSetting,
    kTokensSetting,
    kSeedSetting,
};

constexpr float kMean = 0.9f, kSquare = 0.999f, kLeast = 1e-12f;  // Adam's

Lanes root(Lanes x) {
  for (int lane = 0; lane < kLanes; ++lane) x[lane] = std::sqrt(x[lane]);
  return x;
}

// Weights that move under scales that stay.
class DistilledWeights : public LearnedMatrix {
 public:
  DistilledWeights(std::span<const float> weights, int64_t rows, int64_t cols,
                   const numeric::WeightScheme& scheme, const MethodOptions& options, float rate,
                   base::ThreadPool& pool)
      : LearnedMatrix(weights, rows, cols, scheme, options, "zeroquant", pool),
        rate_(rate),
        weights_(weights.begin(), weights.end()),
        mean_(weights.size()),
        square_(weights.size()) {}

  void step(int64_t row, const float* gradient, const Pace& pace) override {
    const auto done = static_cast<float>(pace.step + 1);
    const float mean_share = 1 - std::pow(kMean, done), square_share = 1 - std::pow(kSquare, done);
    for (int64_t first = 0; first < cols(); first += group_) {
      const int64_t begin = row * cols() + first;
      const float scale = std::fabs(first_scales_[static_cast<size_t>(begin / group_)]);
      const float length = rate_ * pace.left() * scale;
      base::by_lanes(0, group_, [&](int64_t i, auto count) {
        const Lanes by = base::load_lanes(gradient + first + i, count);
        float *mean_at = mean_.data() + begin + i, *square_at = square_.data() + begin + i;
        float* weight_at = weights_.data() + begin + i;
        Lanes mean = base::load_lanes(mean_at, count), square = base::load_lanes(square_at, count);
        mean += (1 - kMean) * (by - mean);
        square += (1 - kSquare) * (by * by - square);
        const Lanes direction = mean / mean_share / (root(square / square_share) + kLeast);
        base::store_lanes(mean_at, count, mean);
        base::store_lanes(square_at, count, square);
        base::store_lanes(weight_at, count, base::load_lanes(weight_at, count) - length * direction);
      });
    }
  }

 private:
  float move(size_t g, size_t begin, std::span<float> moved) const override {
    std::copy_n(weights_.begin() + static_cast<int64_t>(begin), moved.size(), moved.begin());
    return first_scales_[g];
  }

  float rate_;
  std::vector<float> weights_, mean_, square_;  // now; Adam's moments of the gradient
};

std::vector<tensor::QuantizedMatrix> learn(const BlockTask& task, const base::Json& settings) {
  const auto rate = settings.at("rate").get<float>();
  return learn_block(
      task, learning_options(settings), "zeroquant",
      [rate](const BlockWeights::Linear& linear, const MethodOptions& options, base::ThreadPool& pool) {
        return std::make_unique<DistilledWeights>(linear.values, linear.matrix->rows, linear.matrix->cols,
                                                  linear.scheme->weights, options, rate, pool);
      });
}

}  // namespace

const Method zeroquant = {
    .name = "zeroquant",
    .note = "learns a block's weights by its output error, rounding them as they move; needs calibration",
    .settings = kSettings,
    .needs_calibration = true,
    .learn = learn};

}  // namespace aquatint::quant
