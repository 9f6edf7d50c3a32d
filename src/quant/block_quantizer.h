// One decoder block after the other: calibration tokens go through what is already quantized, methods see the
// inputs of each linear, codes are found and written.
#pragma once
#include <optional>

#include "model/staged_block.h"
#include "quant/block_weights.h"
#include "quant/run.h"

namespace aquatint::quant {

class BlockQuantizer {
 public:
  // `calibration`: null where no method or scheme needs it.
  BlockQuantizer(Run& run, const CalibrationSet* calibration);

  // Blocks come in their order.
  void write(int64_t layer);
  // What the next block starts from; empty without calibration.
  std::vector<model::HiddenStates*> states();

 private:
  void write_values(int64_t layer);
  void write_transformed(int64_t layer);
  BlockStatistics observe(int64_t layer, BlockWeights& weights);
  model::KvRange pass(int64_t layer, BlockWeights& weights, model::HiddenStates& states,
                      BlockStatistics* seen) const;
  void write_learned(int64_t layer, BlockWeights& weights);
  void write_codes(int64_t layer, model::Block block, BlockWeights* weights, BlockStatistics* seen,
                   std::vector<tensor::QuantizedMatrix> found = {});
  InputStatistics measure(const model::StagedBlock& staged, int64_t layer, model::Stage stage) const;
  void run_stage(model::StagedBlock& staged, model::Block& block, model::Stage stage,
                 const std::vector<tensor::QuantizedMatrix>& parts) const;
  void correct(model::Stage stage, model::Block& block, model::StagedBlock& exact,
               const model::StagedBlock& moved, const InputStatistics& inputs, BlockWeights& weights);
  static std::vector<tensor::QuantizedMatrix> plain_parts(BlockWeights& weights, model::Stage stage);
  void write_block_vectors(int64_t layer) const;
  void write_kv_scales(int64_t layer) const;

  Run& run_;
  std::optional<model::HiddenStates> states_;        // of the calibration tokens, before the block at hand
  std::optional<model::HiddenStates> exact_states_;  // the same in the exact model, where methods look at it
  model::KvRange kv_range_;                          // of the block that was run last
  VectorValues changed_;  // norms and biases of the block at hand, not the source's
};

}  // namespace aquatint::quant
