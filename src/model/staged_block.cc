#include "model/staged_block.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "base/error.h"

namespace aquatint::model {
namespace {

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

void take_rows(const StateArray& from, int64_t first, int64_t rows, int64_t width, kernels::Array<float>& to,
               const Backend& backend) {
  const auto begin = static_cast<size_t>(first * width), count = static_cast<size_t>(rows * width);
  if (!backend.memory().is_host()) return from.take(begin, count, to, backend.memory());
  copy(from.host().data() + begin, rows * width, to.data(), *backend.pool);
  from.host().release(begin, count);
}

void put_rows(const kernels::Array<float>& from, int64_t first, int64_t rows, int64_t width, StateArray& to,
              const Backend& backend) {
  const auto begin = static_cast<size_t>(first * width), count = static_cast<size_t>(rows * width);
  if (!backend.memory().is_host()) return to.put(begin, count, from, backend.memory());
  copy(from.data(), rows * width, to.host().data() + begin, *backend.pool);
  to.host().release(begin, count);
}

}  // namespace

int64_t HiddenStates::tokens() const { return std::accumulate(lengths.begin(), lengths.end(), int64_t{0}); }

HiddenStates HiddenStates::copy() const {
  HiddenStates other{lengths, StateArray(x.size(), place), place};
  other.x.copy(x);
  return other;
}

HiddenStates embed_sequences(std::span<const std::vector<int32_t>> sequences,
                             const tensor::QuantizedMatrix& embedding, const Config& config,
                             const Backend& backend, const StatePlace& place) {
  HiddenStates states;
  for (const std::vector<int32_t>& sequence : sequences) {
    check_tokens(sequence, config);
    states.lengths.push_back(static_cast<int64_t>(sequence.size()));
  }
  states.x = StateArray(static_cast<size_t>(states.tokens() * config.hidden_size), place);
  states.place = place;
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
    : backend_(backend),
      config_(layer_alone(config, layer)),
      states_(states),
      rows_(backend.kernels->rows_per_step) {
  AQ_CHECK(states.tokens() * config.hidden_size == static_cast<int64_t>(states.x.size()), "{} values",
           states.x.size());
  step_.staged = true;
  step_.reserve(config_, backend.memory(), rows_);
}

// body(first) for up to rows_ consecutive tokens of one sequence at a time, the first of all tokens' number;
// step_ is ready for them, its arrays are not filled.
template <class Body>
void StagedBlock::each_piece(Body body) {
  const std::vector<int32_t> any_tokens(static_cast<size_t>(rows_));
  int64_t first = 0;
  for (const int64_t length : states_.lengths) {
    KvCache cache(config_, length, backend_.kv_format(), backend_.memory());
    for (int64_t done = 0; done < length; done += rows_) {
      const int64_t rows = std::min(rows_, length - done);
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
StateArray& StagedBlock::inputs_of(Stage stage) {
  StateArray& inputs = adds_to_residual(stage) ? states_.wide_inputs : states_.hidden_inputs;
  inputs.reuse(static_cast<size_t>(states_.tokens() * input_width(stage, config_)), states_.place);
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

KvRange StagedBlock::range_of(const ColumnMagnitudes& qkv) const {
  std::vector<float> largest(qkv.largest.size());
  qkv.largest.read(largest);
  const auto keys = largest.begin() + config_.q_width(), values = keys + config_.kv_width();
  return {*std::max_element(keys, values), *std::max_element(values, largest.end())};
}

void StagedBlock::run(const Block& block, Stage stage) {
  const int64_t hidden = config_.hidden_size, width = input_width(stage, config_);
  const bool last = stage == kStages.back();
  const Stage next_stage = last ? stage : kStages[static_cast<size_t>(stage) + 1];
  const int64_t next_width = input_width(next_stage, config_);
  StateArray& next = last ? *input_ : inputs_of(next_stage);
  std::optional<ColumnMagnitudes> qkv;
  if (stage == Stage::qkv) qkv.emplace(backend_, config_.q_width() + 2 * config_.kv_width());
  each_piece([&](int64_t first) {
    if (adds_to_residual(stage)) take_rows(states_.x, first, step_.rows, hidden, step_.x, backend_);
    take_rows(*input_, first, step_.rows, width, stage_input(stage, step_), backend_);
    run_stage({config_, backend_}, block, 0, stage, step_);
    if (qkv) qkv->add(step_.qkv.data(), step_.rows);
    if (adds_to_residual(stage)) put_rows(step_.x, first, step_.rows, hidden, states_.x, backend_);
    if (!last) put_rows(stage_input(next_stage, step_), first, step_.rows, next_width, next, backend_);
  });
  if (qkv) kv_range_ = range_of(*qkv);
  input_ = &next;
}

}  // namespace aquatint::model
