// What a method gets that finds the codes of a block's linears together.
#pragma once
#include "model/staged_block.h"
#include "quant/block_weights.h"

namespace aquatint::quant {

struct BlockTask {
  const Plan& plan;
  int64_t layer;
  BlockWeights& weights;
  const model::HiddenStates& inputs;   // as they come out of the blocks before, already quantized
  const model::HiddenStates& targets;  // what the block in 16 bits gives, behind blocks in 16 bits
  const model::Backend& backend;
};

}  // namespace aquatint::quant
