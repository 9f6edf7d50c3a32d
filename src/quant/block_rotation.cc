// The rotations of a block's weights: rows meet their input's, columns their output's.
#include <algorithm>

#include "model/dense.h"
#include "quant/block_weights.h"
#include "quant/weight_rotation.h"

namespace aquatint::quant {
namespace {

using model::RotationPtr;
using model::Stage;

// A rotation repeated over `runs` parts of a width; none: null.
struct Turn {
  RotationPtr rotation;
  int64_t runs = 1;
};

class Turner {
 public:
  explicit Turner(const model::Backend& backend) : backend_(backend) {}

  // Of every row.
  void rows(const Turn& turn, float* values, int64_t rows, int64_t cols) const {
    if (turn.rotation)
      backend_.host_kernels().rotate_runs(*turn.rotation, false, values, rows, cols, turn.runs,
                                          *backend_.pool);
  }

  // Of every column.
  void columns(const Turn& turn, std::vector<float>& values, int64_t rows, int64_t cols) const {
    if (!turn.rotation) return;
    std::vector<float> turned = model::transposed(values.data(), rows, cols, *backend_.pool);
    this->rows(turn, turned.data(), cols, rows);
    values = model::transposed(turned.data(), cols, rows, *backend_.pool);
  }

 private:
  const model::Backend& backend_;
};

// What the stage's linears read, and what the `index`-th of them writes.
Turn input_turn(const WeightRotations& r, const model::Config& c, Stage stage) {
  switch (stage) {
    case Stage::attention_out:
      return r.values ? Turn{r.values, c.heads} : Turn{r.run.attention_out_in};
    case Stage::down:
      return {r.run.down_in};
    default:
      return {r.residual};
  }
}

Turn output_turn(const WeightRotations& r, const model::Config& c, Stage stage, size_t index) {
  switch (stage) {
    case Stage::qkv:
      if (index == 2 && r.values) return {r.values, c.kv_heads};
      return {index == 0 ? r.run.query_out : r.run.key_value_out};
    case Stage::gate_up:
      return {r.run.gate_up_out};
    default:
      return {r.residual};
  }
}

}  // namespace

void BlockWeights::rotate(const WeightRotations& rotations, const model::Backend& backend) {
  fold_norm(vectors_.attention_norm.values, Stage::qkv);
  fold_norm(vectors_.mlp_norm.values, Stage::gate_up);
  const Turner turner(backend);
  for (const Stage stage : model::kStages) {
    std::vector<float>& bias = model::linear_of(vectors_, stage).bias.values;
    const Turn input = input_turn(rotations, config_, stage);
    int64_t first = 0;
    for (size_t i = 0; i < linears(stage).size(); ++i) {
      Linear& linear = linears(stage)[i];
      const int64_t rows = linear.matrix->rows, cols = linear.matrix->cols;
      const Turn output = output_turn(rotations, config_, stage, i);
      turner.rows(input, linear.values.data(), rows, cols);
      turner.columns(output, linear.values, rows, cols);
      if (!bias.empty()) turner.rows(output, bias.data() + first, 1, rows);
      first += rows;
    }
  }
}

// Into the columns that read it; 1 is left.
void BlockWeights::fold_norm(std::vector<float>& norm, Stage stage) {
  for (Linear& linear : linears(stage))
    for (size_t i = 0; i < linear.values.size(); ++i) linear.values[i] *= norm[i % norm.size()];
  std::fill(norm.begin(), norm.end(), 1.0f);
}

}  // namespace aquatint::quant
