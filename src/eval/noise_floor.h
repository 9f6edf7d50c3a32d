// How much the reference differs from itself when the same tasks run in other batches: what differences
// between models must be larger than to mean anything. Here it is zero by the kernels' contract, and this
// shows it.
#pragma once
#include "eval/tasks.h"

namespace aquatint::eval {

struct NoiseFloor {
  int64_t items = 0, flips = 0;
  double largest_difference = 0;  // of a log-likelihood
  int64_t other_texts = 0;        // generated answers that differ
};

// Runs the first `options.limit` items (all: 0) of each task again, in other batches, on `model`, and
// compares with `results`.
NoiseFloor noise_floor(model::Model& model, const text::Tokenizer& tokenizer, const std::vector<Task>& tasks,
                       const std::vector<TaskResult>& results, TaskOptions options);

}  // namespace aquatint::eval
