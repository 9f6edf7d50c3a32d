#include "quant/block_weights.h"

#include "base/error.h"

namespace aquatint::quant {

using model::Stage;

BlockWeights::BlockWeights(const checkpoint::Checkpoint& source, const Plan& plan, int64_t layer,
                           const model::Backend& backend)
    : config_(plan.tensors.config),
      dtype_(*plan.dtype),
      prefix_(fmt::format("model.layers.{}.", layer)),
      vectors_(model::load_block_vectors(source, config_, layer)) {
  for (const Stage stage : model::kStages)
    for (const ModelMatrix& matrix : plan.tensors.linears(layer, stage))
      linears(stage).push_back(
          {&matrix, plan.scheme_of(matrix), source_values(source, matrix, *backend.pool)});
  if (plan.rotations.any()) rotate(plan.rotations, backend);
}

std::vector<float>& BlockWeights::values(const ModelMatrix& matrix) {
  for (Linear& linear : linears(matrix.stage))
    if (linear.matrix == &matrix) return linear.values;
  AQ_CHECK(false, "{} is of another block", matrix.module);
}

model::Block BlockWeights::vectors() const {
  model::Block copy;
  copy.attention_norm.values = vectors_.attention_norm.values;
  copy.mlp_norm.values = vectors_.mlp_norm.values;
  copy.q_norm.values = vectors_.q_norm.values;
  copy.k_norm.values = vectors_.k_norm.values;
  for (const Stage stage : model::kStages) {
    model::linear_of(copy, stage).bias.values = model::linear_of(vectors_, stage).bias.values;
    model::linear_of(copy, stage).rows = model::linear_of(vectors_, stage).rows;
  }
  return copy;
}

std::map<std::string, std::vector<float>> BlockWeights::changeable_vectors() const {
  std::map<std::string, std::vector<float>> named = {
      {prefix_ + "input_layernorm.weight", vectors_.attention_norm.values},
      {prefix_ + "post_attention_layernorm.weight", vectors_.mlp_norm.values}};
  for (const Stage stage : model::kStages) {
    const std::vector<float>& bias = model::linear_of(vectors_, stage).bias.values;
    auto first = bias.begin();
    for (const Linear& linear : linears_[static_cast<size_t>(stage)]) {
      if (bias.empty()) continue;
      named[linear.matrix->module + ".bias"] = {first, first + linear.matrix->rows};
      first += linear.matrix->rows;
    }
  }
  return named;
}

int64_t BlockWeights::sources(Stage stage) const {
  return stage == Stage::attention_out ? config_.kv_width() : model::input_width(stage, config_);
}

int64_t BlockWeights::source_of(Stage stage, int64_t column) const {
  if (stage != Stage::attention_out) return column;
  const int64_t head = column / config_.head_dim;
  return head / (config_.heads / config_.kv_heads) * config_.head_dim + column % config_.head_dim;
}

std::vector<float> BlockWeights::by_column(Stage stage, const std::vector<float>& by_source) const {
  std::vector<float> values(static_cast<size_t>(model::input_width(stage, config_)));
  for (size_t c = 0; c < values.size(); ++c)
    values[c] = by_source[static_cast<size_t>(source_of(stage, static_cast<int64_t>(c)))];
  return values;
}

bool BlockWeights::divisible(Stage stage) const {
  const model::Rotations& r = config_.rotations;
  switch (stage) {
    case Stage::attention_out:
      return !r.attention_out_in && !r.key_value_out;
    case Stage::down:
      return !r.down_in && !r.gate_up_out;
    default:
      return true;
  }
}

void BlockWeights::divide_input(Stage stage, std::vector<float> scales, BlockStatistics& inputs) {
  AQ_CHECK(divisible(stage) && static_cast<int64_t>(scales.size()) == sources(stage), "{} scales",
           scales.size());
  switch (stage) {
    case Stage::qkv:
      divide_norm(vectors_.attention_norm.values, scales);
      break;
    case Stage::attention_out:
      divide_rows(linears(Stage::qkv).back(),
                  vectors_.qkv.bias.empty()
                      ? nullptr
                      : vectors_.qkv.bias.values.data() + config_.q_width() + config_.kv_width(),
                  scales);
      break;
    case Stage::gate_up:
      divide_norm(vectors_.mlp_norm.values, scales);
      break;
    case Stage::down:
      divide_rows(linears(Stage::gate_up).back(),
                  vectors_.gate_up.bias.empty()
                      ? nullptr
                      : vectors_.gate_up.bias.values.data() + config_.intermediate_size,
                  scales);
      break;
  }
  const std::vector<float> factors = by_column(stage, scales);
  for (Linear& linear : linears(stage))
    for (size_t i = 0; i < linear.values.size(); ++i) linear.values[i] *= factors[i % factors.size()];
  inputs.at(stage).divide(factors);
}

// `scales` become what the rounded weights were really divided by.
void BlockWeights::divide_norm(std::vector<float>& norm, std::vector<float>& scales) const {
  for (size_t i = 0; i < norm.size(); ++i) {
    const float divided = dtype_.decode(dtype_.encode(norm[i] / scales[i]));
    scales[i] = divided == 0 || norm[i] == 0 ? 1.0f : norm[i] / divided;
    if (divided != 0) norm[i] = divided;
  }
}

void BlockWeights::divide_rows(Linear& linear, float* bias, const std::vector<float>& scales) {
  const int64_t cols = linear.matrix->cols;
  for (size_t row = 0; row < scales.size(); ++row) {
    float* values = linear.values.data() + static_cast<int64_t>(row) * cols;
    for (int64_t c = 0; c < cols; ++c) values[c] /= scales[row];
    if (bias) bias[row] /= scales[row];
  }
}

}  // namespace aquatint::quant
