#include "quant/methods/block_learner.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/rng.h"
#include "model/block_gradient.h"

namespace aquatint::quant {
namespace {

using model::kStages;
using model::Stage;

constexpr int kLooks = 4;  // at all sequences, after the first

class Learner {
 public:
  Learner(const BlockTask& task, int64_t tokens, const MakeLearned& make)
      : task_(task),
        config_(task.plan.tensors.config),
        vectors_(task.weights.vectors()),
        gradient_(config_, task.layer, vectors_, task.backend) {
    for (const Stage stage : kStages) add_linears(stage, make);
    int64_t first = 0;
    for (const int64_t length : task.inputs.lengths) {
      sequences_.push_back({first, std::min(length, tokens)});
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
      this->step({step, steps});
      round();
      if ((step + 1) * kLooks / steps > step * kLooks / steps) keep_if_better();
    }
    std::vector<tensor::QuantizedMatrix> found;
    for (Part& part : parts_) {
      if (part.learned) found.push_back(part.learned->matrix());
    }
    return found;
  }

 private:
  struct Sequence {
    int64_t first, rows;
  };
  struct Part {
    Stage stage;
    int64_t first;                           // row of the stage's stacked matrix
    std::unique_ptr<LearnedMatrix> learned;  // null: stays in 16 bits
  };

  void add_linears(Stage stage, const MakeLearned& make) {
    std::vector<float>& stacked = matrices_[static_cast<size_t>(stage)];
    int64_t first = 0;
    for (BlockWeights::Linear& linear : task_.weights.linears(stage)) {
      stacked.insert(stacked.end(), linear.values.begin(), linear.values.end());
      parts_.push_back({stage, first, nullptr});
      first += linear.matrix->rows;
      if (!linear.scheme) continue;
      const MethodOptions options{.clip = task_.plan.of(*linear.matrix).clip};
      parts_.back().learned = make(linear, options, *task_.backend.pool);
      gradient_.round_input(stage, linear.scheme->input);
    }
    by_matrices_[static_cast<size_t>(stage)].resize(stacked.size());
  }

  // body(learned, row, place in the stacked matrices) for every row that is learned.
  template <class Body>
  void each_row(Body body) {
    for (Part& part : parts_) {
      if (!part.learned) continue;
      task_.backend.pool->parallel_for(part.learned->rows(), 16, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row)
          body(*part.learned, row, static_cast<size_t>(part.stage),
               (part.first + row) * part.learned->cols());
      });
    }
  }

  void round() {
    each_row([&](LearnedMatrix& learned, int64_t row, size_t stage, int64_t at) {
      learned.round(row, matrices_[stage].data() + at);
    });
    gradient_.set_weights(matrices_);
  }
  void step(const Pace& pace) {
    each_row([&](LearnedMatrix& learned, int64_t row, size_t stage, int64_t at) {
      learned.step(row, by_matrices_[stage].data() + at, pace);
    });
  }

  // The block's output minus the target.
  std::vector<float> errors(const Sequence& sequence) {
    const auto begin = static_cast<size_t>(sequence.first * config_.hidden_size);
    const auto size = static_cast<size_t>(sequence.rows * config_.hidden_size);
    std::vector<float> y(size);
    gradient_.forward(task_.inputs.x.host().values().subspan(begin, size), sequence.rows, y);
    for (size_t i = 0; i < size; ++i) y[i] -= task_.targets.x.host().data()[begin + i];
    return y;
  }

  // 2 / size is left out: neither signs nor Adam's steps depend on the gradient's length.
  void learn_from(const Sequence& sequence) {
    std::vector<float> by_y = errors(sequence);
    gradient_.backward(by_y, by_matrices_);
  }

  void keep_if_better() {
    double total = 0;
    for (const Sequence& sequence : sequences_)
      for (const float error : errors(sequence)) total += double{error} * double{error};
    if (least_ && total >= *least_) return;
    least_ = total;
    each_row([](LearnedMatrix& learned, int64_t row, size_t, int64_t) { learned.keep(row); });
  }

  const BlockTask& task_;
  const model::Config& config_;
  model::Block vectors_;
  model::BlockGradient gradient_;
  std::vector<Sequence> sequences_;
  std::vector<Part> parts_;
  model::BlockMatrices matrices_, by_matrices_;
  std::optional<double> least_;
};

void check(const model::Rotations& r, std::string_view method) {
  if (r.query_key || r.attention_out_in || r.down_in || r.query_out || r.key_value_out || r.gate_up_out)
    throw base::BadUsage(fmt::format(
        "{} learns through blocks without rotations at run time; take gptq or signround after a rotation",
        method));
}

}  // namespace

LearningOptions learning_options(const base::Json& settings) {
  return {settings.at("steps").get<int>(), settings.at("batch").get<int64_t>(),
          settings.at("tokens").get<int64_t>(), settings.at("seed").get<uint64_t>()};
}

std::vector<tensor::QuantizedMatrix> learn_block(const BlockTask& task, const LearningOptions& options,
                                                 std::string_view method, const MakeLearned& make) {
  check(task.plan.tensors.config.rotations, method);
  return Learner(task, options.tokens, make).run(options.steps, options.batch, options.seed);
}

}  // namespace aquatint::quant
