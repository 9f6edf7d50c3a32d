// Rotations of a whole model, after which its values are spread evenly and lose less when they are rounded.
// What leaves one linear rotated and enters the next one so is folded into their weights; the rest is done by
// the run (model::Rotations). The model's function stays.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/writer.h"
#include "model/rotations.h"
#include "quant/model_tensors.h"

namespace aquatint::quant {

struct WeightRotations {
  // hidden_size: in all that writes to the residual stream and, with the weights of the norms, in all that
  // reads it.
  model::RotationPtr residual;
  model::RotationPtr values;  // head_dim: in the rows of v and the columns of the output projection, by heads
  model::Rotations run;       // the folded ones' other halves, and those that no weight can hold
  bool untie = false;         // a tied embedding and head become two, so that the residual's can be folded

  bool any() const { return residual != nullptr; }
  // Embedding, head and final norm are rotated too: nothing of the residual's is left to the run.
  bool folds_embedding() const { return residual && !run.residual; }
};

// Rotations of one seed, each with signs of its own. BadUsage where `method` asks for a width without one.
class RotationMaker {
 public:
  RotationMaker(std::string_view method, const base::Json& settings);
  model::RotationPtr operator()(std::string_view place, int64_t width);

 private:
  std::string_view method_;
  uint64_t next_seed_;
};

// The residual stream's. Where embedding and head share a matrix, both ends are left to the run, unless the
// setting `untie` says that they shall not share it.
void rotate_residual(RotationMaker& make, const model::Config& config, const base::Json& settings,
                     WeightRotations& out);

// What the written model's config.json says otherwise than the source's.
base::Json config_changes(const WeightRotations& rotations);

// Rows of an embedding or head as the folded model has it. `source` and `backend` must outlive the result.
checkpoint::RowSource folded_rows(const checkpoint::Checkpoint& source, const ModelMatrix& matrix,
                                  model::RotationPtr residual, const model::Backend& backend);

}  // namespace aquatint::quant
