// One decoder block as FP32 values, for methods that change weights before codes are found, and what
// calibration saw at the inputs of its linears.
#pragma once
#include <array>
#include <map>
#include <string>
#include <vector>

#include "model/weights.h"
#include "quant/input_statistics.h"
#include "quant/plan.h"

namespace aquatint::quant {

// Statistics of the four stages' inputs.
class BlockStatistics {
 public:
  void set(model::Stage stage, InputStatistics statistics) {
    stages_[static_cast<size_t>(stage)] = std::make_unique<InputStatistics>(std::move(statistics));
  }
  InputStatistics& at(model::Stage stage) { return *stages_[static_cast<size_t>(stage)]; }

 private:
  std::array<std::unique_ptr<InputStatistics>, model::kStages.size()> stages_;
};

class BlockWeights {
 public:
  struct Linear {
    const ModelMatrix* matrix;
    const numeric::Scheme* scheme;  // that its codes will have; null: it stays in 16 bits
    std::vector<float> values;      // [rows][cols]
  };

  // With the plan's rotations.
  BlockWeights(const checkpoint::Checkpoint& source, const Plan& plan, int64_t layer,
               const model::Backend& backend);

  // Those that read the stage's input.
  std::vector<Linear>& linears(model::Stage stage) { return linears_[static_cast<size_t>(stage)]; }
  std::vector<float>& values(const ModelMatrix& matrix);
  // Norms and biases as they are now.
  model::Block vectors() const;
  std::map<std::string, std::vector<float>> changeable_vectors() const;  // by full name

  // How many columns of the stage's input must share a scale, and which: columns with the same number come
  // from one row of values (grouped heads) and can only be divided together.
  int64_t sources(model::Stage stage) const;
  int64_t source_of(model::Stage stage, int64_t column) const;
  // Values by source, one for each column.
  std::vector<float> by_column(model::Stage stage, const std::vector<float>& by_source) const;

  // Nothing stands between the stage's input and where it is made but what keeps columns apart.
  bool divisible(model::Stage stage) const;

  // Divides the stage's input where it is made, by one scale for each source: in the weights of the norm
  // before it, or in the rows of v_proj or up_proj; columns that read it, and `inputs`, are scaled to match.
  // Norm weights are divided by what leaves them exact in their dtype's grid, so the block's function stays.
  void divide_input(model::Stage stage, std::vector<float> scales, BlockStatistics& inputs);

 private:
  void rotate(const WeightRotations& rotations, const model::Backend& backend);
  void fold_norm(std::vector<float>& norm, model::Stage stage);
  void divide_norm(std::vector<float>& norm, std::vector<float>& scales) const;
  void divide_rows(Linear& linear, float* bias, const std::vector<float>& scales);

  const model::Config& config_;
  const numeric::Format& dtype_;  // what norms will be rounded to when they are written
  std::string prefix_;
  model::Block vectors_;
  std::array<std::vector<Linear>, model::kStages.size()> linears_;
};

}  // namespace aquatint::quant
