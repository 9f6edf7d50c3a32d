// AutoRound (Cheng et al., arXiv 2309.05516): the offsets and scale factors of learned_rounding.h follow the
// signed gradient of the block's output error. Otherwise than in the paper the best iterate is told by the
// error over all sequences, not by that of each step's batch (block_learner.h).
#include <array>

#include "quant/methods/block_learner.h"
#include "quant/methods/learned_rounding.h"

namespace aquatint::quant {
namespace {

using Type = MethodSetting::Type;
constexpr std::array kSettings = {
    MethodSetting{"steps", Type::integer, 200, 1, 10000, "of size 1 / steps at first, falling to none"},
    kBatchSetting,
    kTokensSetting,
    kSeedSetting,
};

std::vector<tensor::QuantizedMatrix> learn(const BlockTask& task, const base::Json& settings) {
  return learn_block(
      task, learning_options(settings), "autoround",
      [](const BlockWeights::Linear& linear, const MethodOptions& options, base::ThreadPool& pool) {
        return std::make_unique<LearnedRounding>(linear.values, linear.matrix->rows, linear.matrix->cols,
                                                 linear.scheme->weights, options, "autoround", pool);
      });
}

}  // namespace

const Method autoround = {
    .name = "autoround",
    .note = "learns how to round by the block's output error, by signed gradient; needs calibration",
    .settings = kSettings,
    .needs_calibration = true,
    .learn = learn};

}  // namespace aquatint::quant
