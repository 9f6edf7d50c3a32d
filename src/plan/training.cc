#include "plan/training.h"

#include <algorithm>

namespace aquatint::plan {
namespace {

// Bytes of a weight that is trained by AdamW in mixed precision: a 16-bit gradient; FP32 master and two FP32
// moments.
constexpr double kGradient = 2, kAdam = 12;

int64_t widest_of(const Shape& shape) {
  int64_t widest = 0;
  for (const Matrices& m : shape.matrices)
    if (m.quantized() && m.part != Part::expert) widest = std::max(widest, m.rows);
  return widest;
}

// Blocks keep their input and are run again; one block is whole at a time; logits and their gradient.
double activations(const Shape& shape, const TrainingRun& run) {
  const double tokens = run.sequence_tokens * run.sequences, hidden = static_cast<double>(shape.hidden);
  const double kept = 2 * hidden * static_cast<double>(shape.layers);
  const double block = 2 * (10 * hidden + 4 * static_cast<double>(widest_of(shape)));
  const double logits = 6 * static_cast<double>(shape.vocabulary);
  return tokens * (kept + block + logits);
}

double adapter_weights(const Shape& shape, int64_t rank) {
  double total = 0;
  for (const Matrices& m : shape.matrices)
    if (m.quantized() && m.part != Part::expert)
      total += static_cast<double>(rank * (m.rows + m.cols) * m.count);
  return total;
}

TrainingMemory whole(const char* mode, double bytes_per_weight, const Shape& shape, const TrainingRun& run,
                     const char* assumptions) {
  const double n = shape.parameters();
  return {mode, bytes_per_weight * n, kGradient * n, kAdam * n, activations(shape, run), assumptions};
}

}  // namespace

std::vector<TrainingMemory> training_memory(const Shape& shape, const TrainingRun& run) {
  const double adapters = adapter_weights(shape, run.lora_rank);
  return {{"qlora", weight_bytes(shape, find_choice("NF4")) + 2 * adapters, kGradient * adapters,
           kAdam * adapters, activations(shape, run),
           "NF4 weights that stay as they are, adapters on every linear but experts, AdamW"},
          whole("qat", 2, shape, run, "16-bit weights rounded on the way, AdamW with an FP32 master"),
          whole("fp8", 1, shape, run, "E4M3 weights in products, AdamW with an FP32 master"),
          whole("full", 2, shape, run, "16-bit weights, AdamW with an FP32 master")};
}

}  // namespace aquatint::plan
