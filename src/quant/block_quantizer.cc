#include "quant/block_quantizer.h"

#include <algorithm>

#include "checkpoint/kv_cache.h"
#include "kernels/kv_layout.h"
#include "quant/block_task.h"
#include "quant/drift.h"
#include "quant/linear_quantizer.h"
#include "quant/plain_tensors.h"

namespace aquatint::quant {

using model::Stage;

namespace {

// Where the states of the calibration tokens lie: with the kernels on a device, if nobody here reads them and
// there is room for them (once more while methods change a block) beside what is made of the widest Gram
// matrix (device_algebra.h).
model::StatePlace state_place(const Run& run, int64_t tokens) {
  const kernels::Memory& memory = run.backend.memory();
  if (memory.is_host() || !run.spill.empty() || run.plan.keeps_exact_states()) return {run.spill};
  constexpr uint64_t kGramBytes = 32;  // an element
  const model::Config& c = run.plan.tensors.config;
  const int64_t widest =
      std::max(model::input_width(Stage::attention_out, c), model::input_width(Stage::down, c));
  const auto states = static_cast<uint64_t>(tokens * (3 * c.hidden_size + widest)) * sizeof(float);
  const bool fits = states + kGramBytes * static_cast<uint64_t>(widest * widest) <= memory.left();
  return {run.spill, fits ? &memory : nullptr};
}

}  // namespace

BlockQuantizer::BlockQuantizer(Run& run, const CalibrationSet* calibration) : run_(run) {
  if (!calibration) return;
  const ModelMatrix& embedding = run.plan.tensors.matrices.front();
  model::Config config = run.plan.tensors.config;
  if (run.plan.rotations.any())
    config.rotations.residual = run.plan.rotations.residual;  // also where it is folded
  states_ = model::embed_sequences(calibration->sequences, find_matrix(run.source, embedding), config,
                                   run.backend, state_place(run, calibration->tokens()));
  if (run.plan.keeps_exact_states()) exact_states_ = states_->copy();
  run.source.advise(embedding.module, base::Access::done);
}

std::vector<model::HiddenStates*> BlockQuantizer::states() {
  std::vector<model::HiddenStates*> all;
  for (auto* states : {&states_, &exact_states_})
    if (*states) all.push_back(&**states);
  return all;
}

void BlockQuantizer::write(int64_t layer) {
  changed_.clear();
  if (!run_.plan.transforms.empty())
    write_transformed(layer);
  else if (run_.plan.rotations.any() || exact_states_)
    write_values(layer);
  else
    write_codes(layer, model::load_block_vectors(run_.source, run_.plan.tensors.config, layer), nullptr,
                nullptr);
  write_block_vectors(layer);
  if (run_.plan.kv && run_.plan.kv->needs_calibration()) write_kv_scales(layer);
}

// Of a block whose values are not the source's, or will not be.
void BlockQuantizer::write_values(int64_t layer) {
  BlockWeights weights(run_.source, run_.plan, layer, run_.backend);
  changed_ = weights.changeable_vectors();
  if (run_.plan.codes.method->learn) return write_learned(layer, weights);
  write_codes(layer, weights.vectors(), &weights, nullptr);
}

// Runs the block as it is to see its inputs, lets the methods change it, then finds codes: by inputs that
// come from the changed and rounded block where the method reads them, by those already seen otherwise.
void BlockQuantizer::write_transformed(int64_t layer) {
  BlockWeights weights(run_.source, run_.plan, layer, run_.backend);
  const bool again = run_.plan.codes.method->needs_calibration || exact_states_;
  std::optional<model::HiddenStates> before;
  if (again) before = states_->copy();
  BlockStatistics seen = observe(layer, weights);
  for (const MethodStep& step : run_.plan.transforms)
    step.method->transform(weights, seen, step.settings, run_.pool());
  changed_ = weights.changeable_vectors();
  if (again) states_->x = std::move(before->x);
  if (run_.plan.codes.method->learn) return write_learned(layer, weights);
  write_codes(layer, weights.vectors(), &weights, again ? nullptr : &seen);
}

// The statistics of the block's inputs, its weights being as they are; the states move on behind it.
BlockStatistics BlockQuantizer::observe(int64_t layer, BlockWeights& weights) {
  BlockStatistics seen;
  kv_range_ = pass(layer, weights, *states_, &seen);
  return seen;
}

// Takes states through the block, its weights being as they are.
model::KvRange BlockQuantizer::pass(int64_t layer, BlockWeights& weights, model::HiddenStates& states,
                                    BlockStatistics* seen) const {
  model::Block block = weights.vectors();
  model::StagedBlock staged(run_.plan.tensors.config, run_.backend, layer, states);
  staged.enter(block);
  for (const Stage stage : model::kStages) {
    if (seen) seen->set(stage, measure(staged, layer, stage));
    run_stage(staged, block, stage, plain_parts(weights, stage));
  }
  return staged.kv_range();
}

void BlockQuantizer::write_learned(int64_t layer, BlockWeights& weights) {
  pass(layer, weights, *exact_states_, nullptr);
  const MethodStep& step = run_.plan.codes;
  write_codes(
      layer, weights.vectors(), &weights, nullptr,
      step.method->learn({run_.plan, layer, weights, *states_, *exact_states_, run_.backend}, step.settings));
}

// Finds and writes the codes of a block. `weights`: its values, where they are not the source's; `seen`: what
// is known of its inputs; otherwise calibration goes through it as its linears are done, and through the
// exact block beside it where methods correct. `found`: the codes, where they are already there.
void BlockQuantizer::write_codes(int64_t layer, model::Block block, BlockWeights* weights,
                                 BlockStatistics* seen, std::vector<tensor::QuantizedMatrix> found) {
  auto next_found = found.begin();
  std::optional<model::StagedBlock> staged, exact;
  const auto enter = [&](std::optional<model::StagedBlock>& into, model::HiddenStates& states) {
    into.emplace(run_.plan.tensors.config, run_.backend, layer, states);
    into->enter(block);
  };
  if (states_ && !seen) enter(staged, *states_);
  if (!run_.plan.corrections.empty()) enter(exact, *exact_states_);
  for (const Stage stage : model::kStages) {
    const std::span<const ModelMatrix> linears = run_.plan.tensors.linears(layer, stage);
    std::optional<InputStatistics> measured;
    if (staged) measured.emplace(measure(*staged, layer, stage));
    if (exact) correct(stage, block, *exact, *staged, *measured, *weights);
    const InputStatistics* inputs = seen ? &seen->at(stage) : measured ? &*measured : nullptr;
    const float largest = shared_largest(linears, weights, run_);
    std::vector<tensor::QuantizedMatrix> parts;
    for (const ModelMatrix& matrix : linears) {
      run_.tick();
      const bool is_found = next_found != found.end() && run_.plan.scheme_of(matrix);
      tensor::QuantizedMatrix written =
          write_linear(matrix, weights, inputs, largest, is_found ? &*next_found++ : nullptr, run_);
      if (staged) parts.push_back(std::move(written));
    }
    if (staged) run_stage(*staged, block, stage, parts);
    if (staged) kv_range_ = staged->kv_range();
  }
}

// Takes the exact block through the stage, and the stage's weights to where the methods want them.
void BlockQuantizer::correct(Stage stage, model::Block& block, model::StagedBlock& exact,
                             const model::StagedBlock& moved, const InputStatistics& inputs,
                             BlockWeights& weights) {
  const bool into_residual = adds_to_residual(stage);
  const auto residual = [&](const model::HiddenStates& states) {
    return into_residual ? std::span<const float>(states.x.host()) : std::span<const float>();
  };
  const Drift drift(exact.input().host(), moved.input().host(), residual(*exact_states_), residual(*states_),
                    inputs);
  run_stage(exact, block, stage, plain_parts(weights, stage));
  for (const MethodStep& step : run_.plan.corrections)
    step.method->correct(weights, stage, drift, step.settings);
}

std::vector<tensor::QuantizedMatrix> BlockQuantizer::plain_parts(BlockWeights& weights, Stage stage) {
  std::vector<tensor::QuantizedMatrix> parts;
  for (const BlockWeights::Linear& linear : weights.linears(stage))
    parts.push_back(tensor::plain_matrix(linear.values, linear.matrix->rows, linear.matrix->cols));
  return parts;
}

InputStatistics BlockQuantizer::measure(const model::StagedBlock& staged, int64_t layer, Stage stage) const {
  const ModelTensors& tensors = run_.plan.tensors;
  return InputStatistics(staged.input(), model::input_width(stage, tensors.config), staged.lengths(),
                         tensors.linears(layer, stage).front().module, run_.backend, run_.plan.needs_gram());
}

void BlockQuantizer::run_stage(model::StagedBlock& staged, model::Block& block, Stage stage,
                               const std::vector<tensor::QuantizedMatrix>& parts) const {
  model::Linear& linear = model::linear_of(block, stage);
  model::pack_linear(linear, parts, run_.backend);
  staged.run(block, stage);
  linear.clear();
}

// Of the range seen last: of the codes where calibration went through them.
void BlockQuantizer::write_kv_scales(int64_t layer) const {
  const auto format = kernels::find_kv_format(run_.plan.kv->format->name);
  const int64_t one[] = {1};
  for (const auto& [which, largest] : {std::pair{'k', kv_range_.key}, {'v', kv_range_.value}}) {
    const float scale = kernels::kv_scale(*format, largest);
    run_.writer.plain(checkpoint::kv_scale_name(layer, which), one, {&scale, 1}, numeric::fp32);
  }
}

void BlockQuantizer::write_block_vectors(int64_t layer) const {
  write_vectors(run_.plan.tensors.block_vectors(layer), run_.source, changed_, *run_.plan.dtype, run_.writer);
}

}  // namespace aquatint::quant
