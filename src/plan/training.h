// Memory that training takes on one card or shared out over some.
#pragma once
#include <string>
#include <vector>

#include "plan/choice.h"

namespace aquatint::plan {

struct TrainingMemory {
  std::string mode;  // "qlora", "qat", "fp8", "full"
  double weights = 0, gradients = 0, optimizer = 0, activations = 0;
  double total() const { return weights + gradients + optimizer + activations; }
  std::string assumptions;
};

struct TrainingRun {
  double sequence_tokens = 2048, sequences = 1;  // of a step on one card
  int64_t lora_rank = 16;
};

// Every mode, with activations recomputed by block.
std::vector<TrainingMemory> training_memory(const Shape& shape, const TrainingRun& run);

}  // namespace aquatint::plan
