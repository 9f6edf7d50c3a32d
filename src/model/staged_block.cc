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

int64_t total(const std::vector<int64_t>& lengths) {
  return std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
}

void copy_rows(const std::vector<float>& from, int64_t from_row, std::vector<float>& to, int64_t to_row,
               int64_t rows, int64_t width) {
  std::copy_n(from.begin() + from_row * width, rows * width, to.begin() + to_row * width);
}

}  // namespace

HiddenStates embed_sequences(std::span<const std::vector<int32_t>> sequences,
                             const tensor::QuantizedMatrix& embedding, const Config& config,
                             const Backend& backend) {
  HiddenStates states;
  Step step;
  for (const std::vector<int32_t>& sequence : sequences) {
    check_tokens(sequence, config);
    step.rows = static_cast<int64_t>(sequence.size());
    step.tokens = sequence;
    step.x.resize(sequence.size() * static_cast<size_t>(config.hidden_size));
    base::ThreadPool serial(1);
    embed({config, backend, serial}, embedding, step);
    states.lengths.push_back(step.rows);
    states.x.insert(states.x.end(), step.x.begin(), step.x.end());
  }
  return states;
}

StagedBlock::StagedBlock(const Config& config, const Backend& backend, int64_t layer, HiddenStates& states)
    : backend_(backend), config_(layer_alone(config, layer)), states_(states) {
  AQ_CHECK(total(states.lengths) * config.hidden_size == static_cast<int64_t>(states.x.size()), "{} values",
           states.x.size());
  step_.reserve(config_, kRows, true);
}

// body(first) for up to kRows consecutive tokens of one sequence at a time, the first of all tokens' number;
// step_ is ready for them, its arrays are not filled.
template <class Body>
void StagedBlock::each_piece(Body body) {
  const std::vector<int32_t> any_tokens(kRows);
  int64_t first = 0;
  for (const int64_t length : states_.lengths) {
    KvCache cache(config_, length, backend_.kv_format());
    for (int64_t done = 0; done < length; done += kRows) {
      const int64_t rows = std::min(kRows, length - done);
      step_.clear(kernels::Phase::prefill);
      step_.add(std::span(any_tokens).first(static_cast<size_t>(rows)), cache);
      body(first);
      cache.length_ += rows;
      first += rows;
    }
  }
}

void StagedBlock::enter(const Block& block) {
  const int64_t hidden = config_.hidden_size;
  input_.resize(states_.x.size());
  each_piece([&](int64_t first) {
    copy_rows(states_.x, first, step_.x, 0, step_.rows, hidden);
    enter_block({config_, backend_, serial_}, block, step_);
    copy_rows(step_.normed, 0, input_, first, step_.rows, hidden);
  });
}

void StagedBlock::measure_kv() {
  const int64_t stride = config_.q_width() + 2 * config_.kv_width();
  for (int64_t row = 0; row < step_.rows; ++row) {
    const float* k = step_.qkv.data() + row * stride + config_.q_width();
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
  const int64_t next_width = last ? 0 : input_width(next_stage, config_);
  std::vector<float> next(static_cast<size_t>(total(states_.lengths) * next_width));
  each_piece([&](int64_t first) {
    copy_rows(states_.x, first, step_.x, 0, step_.rows, hidden);
    copy_rows(input_, first, stage_input(stage, step_), 0, step_.rows, width);
    run_stage({config_, backend_, serial_}, block, 0, stage, step_);
    if (stage == Stage::qkv) measure_kv();
    copy_rows(step_.x, 0, states_.x, first, step_.rows, hidden);
    copy_rows(stage_input(next_stage, step_), 0, next, first, step_.rows, next_width);
  });
  input_ = std::move(next);
}

}  // namespace aquatint::model
