// AutoRound (Cheng et al., arXiv 2309.05516): the offsets and scale factors of learned_rounding.h follow the
// signed gradient of the block's output error, over small batches of calibration sequences. The error is
// against what the 16-bit block gives behind 16-bit blocks; the inputs come from blocks already quantized.
//
// Otherwise than in the paper: the best iterate is told by the error over all sequences, looked at a few
// times, not by that of each step's batch. No block is worse than rtn's on the calibration tokens.
#include <array>
#include <optional>

#include "base/error.h"
#include "base/rng.h"
#include "model/block_gradient.h"
#include "quant/block_task.h"
#include "quant/methods/learned_rounding.h"

namespace aquatint::quant {
namespace {

using model::kStages;
using model::Stage;
using Type = MethodSetting::Type;
constexpr std::array kSettings = {
    MethodSetting{"steps", Type::integer, 200, 1, 10000, "of size 1 / steps at first, falling to none"},
    MethodSetting{"batch", Type::integer, 2, 1, 1024, "sequences that a step sees"},
    MethodSetting{"tokens", Type::integer, 512, 16, 8192, "of a sequence, at most"},
    MethodSetting{"seed", Type::integer, 0, 0, 1e9, "of the batches"},
};
constexpr int kLooks = 4;  // at all sequences, after the first

class Learner {
 public:
  Learner(const BlockTask& task, const base::Json& settings)
      : task_(task),
        config_(task.plan.tensors.config),
        vectors_(task.weights.vectors()),
        gradient_(config_, task.layer, vectors_, task.backend),
        tokens_(settings.at("tokens").get<int64_t>()) {
    for (const Stage stage : kStages) add_linears(stage);
    int64_t first = 0;
    for (const int64_t length : task.inputs.lengths) {
      sequences_.push_back({first, std::min(length, tokens_)});
      first += length;
    }
  }

  std::vector<tensor::QuantizedMatrix> run(int steps, int64_t batch, uint64_t seed) {
    base::Rng rng(seed + static_cast<uint64_t>(task_.layer));
    round();
    keep_if_better();
    for (int step = 0; step < steps; ++step) {
      for (std::vector<float>& by : by_matrices_) std::fill(by.begin(), by.end(), 0.0f);
      for (int64_t i = 0; i < batch; ++i) learn_from(sequences_[rng.below(sequences_.size())]);
      this->step((1 - static_cast<float>(step) / static_cast<float>(steps)) / static_cast<float>(steps));
      round();
      if ((step + 1) * kLooks / steps > step * kLooks / steps) keep_if_better();
    }
    std::vector<tensor::QuantizedMatrix> found;
    for (Part& part : parts_) {
      if (part.rounding) found.push_back(part.rounding->matrix());
    }
    return found;
  }

 private:
  struct Sequence {
    int64_t first, rows;
  };
  struct Part {
    Stage stage;
    int64_t first;                              // row of the stage's stacked matrix
    std::unique_ptr<LearnedRounding> rounding;  // null: stays in 16 bits
  };

  void add_linears(Stage stage) {
    std::vector<float>& stacked = matrices_[static_cast<size_t>(stage)];
    int64_t first = 0;
    for (BlockWeights::Linear& linear : task_.weights.linears(stage)) {
      const int64_t rows = linear.matrix->rows, cols = linear.matrix->cols;
      stacked.insert(stacked.end(), linear.values.begin(), linear.values.end());
      parts_.push_back({stage, first, nullptr});
      first += rows;
      if (!linear.scheme) continue;
      const MethodOptions options{.clip = task_.plan.of(*linear.matrix).clip};
      parts_.back().rounding = std::make_unique<LearnedRounding>(
          linear.values, rows, cols, linear.scheme->weights, options, "autoround", *task_.backend.pool);
      gradient_.round_input(stage, linear.scheme->input);
    }
    by_matrices_[static_cast<size_t>(stage)].resize(stacked.size());
  }

  // body(rounding, row, place in the stacked matrices) for every row that is learned.
  template <class Body>
  void each_row(Body body) {
    for (Part& part : parts_) {
      if (!part.rounding) continue;
      task_.backend.pool->parallel_for(part.rounding->rows(), 16, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row)
          body(*part.rounding, row, static_cast<size_t>(part.stage),
               (part.first + row) * part.rounding->cols());
      });
    }
  }

  void round() {
    each_row([&](LearnedRounding& rounding, int64_t row, size_t stage, int64_t at) {
      rounding.round(row, matrices_[stage].data() + at);
    });
  }
  void step(float rate) {
    each_row([&](LearnedRounding& rounding, int64_t row, size_t stage, int64_t at) {
      rounding.step(row, by_matrices_[stage].data() + at, rate);
    });
  }

  // The block's output minus the target.
  std::vector<float> errors(const Sequence& sequence) {
    const auto begin = static_cast<size_t>(sequence.first * config_.hidden_size);
    const auto size = static_cast<size_t>(sequence.rows * config_.hidden_size);
    std::vector<float> y(size);
    gradient_.forward(matrices_, task_.inputs.x.values().subspan(begin, size), sequence.rows, y);
    for (size_t i = 0; i < size; ++i) y[i] -= task_.targets.x.data()[begin + i];
    return y;
  }

  // The sign of the gradient is all that counts: 2 / size is left out.
  void learn_from(const Sequence& sequence) {
    std::vector<float> by_y = errors(sequence);
    gradient_.backward(matrices_, by_y, by_matrices_);
  }

  void keep_if_better() {
    double total = 0;
    for (const Sequence& sequence : sequences_)
      for (const float error : errors(sequence)) total += double{error} * double{error};
    if (least_ && total >= *least_) return;
    least_ = total;
    each_row([](LearnedRounding& rounding, int64_t row, size_t, int64_t) { rounding.keep(row); });
  }

  const BlockTask& task_;
  const model::Config& config_;
  model::Block vectors_;
  model::BlockGradient gradient_;
  int64_t tokens_;
  std::vector<Sequence> sequences_;
  std::vector<Part> parts_;
  model::BlockMatrices matrices_, by_matrices_;
  std::optional<double> least_;
};

void check(const model::Rotations& r) {
  if (r.query_key || r.attention_out_in || r.down_in || r.query_out || r.key_value_out || r.gate_up_out)
    throw base::BadUsage(
        "autoround learns through blocks without rotations at run time; take gptq or signround after a "
        "rotation");
}

std::vector<tensor::QuantizedMatrix> learn(const BlockTask& task, const base::Json& settings) {
  check(task.plan.tensors.config.rotations);
  return Learner(task, settings)
      .run(settings.at("steps").get<int>(), settings.at("batch").get<int64_t>(),
           settings.at("seed").get<uint64_t>());
}

}  // namespace

const Method autoround = {
    .name = "autoround",
    .note = "learns how to round by the block's output error, by signed gradient; needs calibration",
    .settings = kSettings,
    .needs_calibration = true,
    .learn = learn};

}  // namespace aquatint::quant
