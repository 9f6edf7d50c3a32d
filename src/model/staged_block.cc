#include "model/staged_block.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace aquatint::model {
namespace {

constexpr int64_t kRows = 512;  // that go through a linear at once

Config layer_alone(Config config, int64_t layer) {
  config.windows = {config.windows[static_cast<size_t>(layer)]};
  config.layers = 1;
  return config;
}

// to[i] = from[i]
void copy(const float* from, int64_t count, float* to, base::ThreadPool& pool) {
  constexpr int64_t kGrain = 1 << 14;
  pool.parallel_for(count, kGrain,
                    [&](int64_t begin, int64_t end) { std::copy(from + begin, from + end, to + begin); });
}

void take_rows(const base::FloatArray& from, int64_t first, int64_t rows, int64_t width,
               kernels::Array<float>& to, const Backend& backend) {
  const float* values = from.data() + first * width;
  if (backend.memory().is_host())
    copy(values, rows * width, to.data(), *backend.pool);
  else
    to.write({values, static_cast<size_t>(rows * width)});
  from.release(static_cast<size_t>(first * width), static_cast<size_t>(rows * width));
}

void put_rows(const kernels::Array<float>& from, int64_t first, int64_t rows, int64_t width,
              base::FloatArray& to, const Backend& backend) {
  float* values = to.data() + first * width;
  if (backend.memory().is_host())
    copy(from.data(), rows * width, values, *backend.pool);
  else
    from.read({values, static_cast<size_t>(rows * width)});
  to.release(static_cast<size_t>(first * width), static_cast<size_t>(rows * width));
}

}  // namespace

int64_t HiddenStates::tokens() const { return std::accumulate(lengths.begin(), lengths.end(), int64_t{0}); }

HiddenStates HiddenStates::copy() const {
  HiddenStates other{lengths, base::FloatArray(x.size(), spill), spill};
  constexpr size_t kPiece = size_t{1} << 22;
  for (size_t first = 0; first < x.size(); first += kPiece) {
    const size_t count = std::min(kPiece, x.size() - first);
    std::copy_n(x.data() + first, count, other.x.data() + first);
    x.release(first, count);
    other.x.release(first, count);
  }
  return other;
}

HiddenStates embed_sequences(std::span<const std::vector<int32_t>> sequences,
                             const tensor::QuantizedMatrix& embedding, const Config& config,
                             const Backend& backend, const std::filesystem::path& spill) {
  HiddenStates states;
  for (const std::vector<int32_t>& sequence : sequences) {
    check_tokens(sequence, config);
    states.lengths.push_back(static_cast<int64_t>(sequence.size()));
  }
  states.x = base::FloatArray(static_cast<size_t>(states.tokens() * config.hidden_size), spill);
  states.spill = spill;
  Step step;
  int64_t first = 0;
  for (const std::vector<int32_t>& sequence : sequences) {
    step.rows = static_cast<int64_t>(sequence.size());
    step.tokens = sequence;
    step.x.reserve(backend.memory(), sequence.size() * static_cast<size_t>(config.hidden_size),
                   "the embeddings of a sequence");
    embed({config, backend}, embedding, step);
    put_rows(step.x, first, step.rows, config.hidden_size, states.x, backend);
    first += step.rows;
  }
  return states;
}

StagedBlock::StagedBlock(const Config& config, const Backend& backend, int64_t layer, HiddenStates& states)
    : backend_(backend), config_(layer_alone(config, layer)), states_(states) {
  AQ_CHECK(states.tokens() * config.hidden_size == static_cast<int64_t>(states.x.size()), "{} values",
           states.x.size());
  step_.reserve(config_, backend.memory(), kRows);
}

// body(first) for up to kRows consecutive tokens of one sequence at a time, the first of all tokens' number;
// step_ is ready for them, its arrays are not filled.
template <class Body>
void StagedBlock::each_piece(Body body) {
  const std::vector<int32_t> any_tokens(kRows);
  int64_t first = 0;
  for (const int64_t length : states_.lengths) {
    KvCache cache(config_, length, backend_.kv_format(), backend_.memory());
    for (int64_t done = 0; done < length; done += kRows) {
      const int64_t rows = std::min(kRows, length - done);
      step_.clear(kernels::Phase::prefill);
      step_.add(std::span(any_tokens).first(static_cast<size_t>(rows)), cache);
      step_.place();
      body(first);
      cache.length_ += rows;
      first += rows;
    }
  }
}

// Where the inputs of the stage's linear go: a stage and the next one never share.
base::FloatArray& StagedBlock::inputs_of(Stage stage) {
  base::FloatArray& inputs = adds_to_residual(stage) ? states_.wide_inputs : states_.hidden_inputs;
  inputs.reuse(static_cast<size_t>(states_.tokens() * input_width(stage, config_)), states_.spill);
  return inputs;
}

void StagedBlock::enter(const Block& block) {
  const int64_t hidden = config_.hidden_size;
  input_ = &inputs_of(Stage::qkv);
  each_piece([&](int64_t first) {
    take_rows(states_.x, first, step_.rows, hidden, step_.x, backend_);
    enter_block({config_, backend_}, block, step_);
    put_rows(step_.normed, first, step_.rows, hidden, *input_, backend_);
  });
}

void StagedBlock::measure_kv() {
  const int64_t stride = config_.q_width() + 2 * config_.kv_width();
  const float* qkv = step_.qkv.data();
  if (!backend_.memory().is_host()) {
    copied_.resize(static_cast<size_t>(step_.rows * stride));
    step_.qkv.read(copied_);
    qkv = copied_.data();
  }
  for (int64_t row = 0; row < step_.rows; ++row) {
    const float* k = qkv + row * stride + config_.q_width();
    const float* v = k + config_.kv_width();
    for (int64_t i = 0; i < config_.kv_width(); ++i) {
      kv_range_.key = std::max(kv_range_.key, std::fabs(k[i]));
      kv_range_.value = std::max(kv_range_.value, std::fabs(v[i]));
    }
  }
}

void StagedBlock::run(const Block& block, Stage stage) {
  const int64_t hidden = config_.hidden_size, width = input_width(stage, config_);
  const bool last = stage == kStages.back();
  const Stage next_stage = last ? stage : kStages[static_cast<size_t>(stage) + 1];
  const int64_t next_width = input_width(next_stage, config_);
  base::FloatArray& next = last ? *input_ : inputs_of(next_stage);
  each_piece([&](int64_t first) {
    if (adds_to_residual(stage)) take_rows(states_.x, first, step_.rows, hidden, step_.x, backend_);
    take_rows(*input_, first, step_.rows, width, stage_input(stage, step_), backend_);
    run_stage({config_, backend_}, block, 0, stage, step_);
    if (stage == Stage::qkv) measure_kv();
    if (adds_to_residual(stage)) put_rows(step_.x, first, step_.rows, hidden, states_.x, backend_);
    if (!last) put_rows(stage_input(next_stage, step_), first, step_.rows, next_width, next, backend_);
  });
  input_ = &next;
}

}  // namespace aquatint::model
