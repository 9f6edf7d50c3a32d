// Weights that do not fit lie in the host's memory and cross the link at every step.
#pragma once
#include "plan/engine.h"

namespace aquatint::plan {

struct Offload {
  double bytes_off = 0;        // of each card's share that stay with the host
  double token_seconds = 0;    // of one sequence
  double prefill_seconds = 0;  // of the prompt
};

// What is left for one sequence of `context` tokens when the rest is moved off; of experts only those that a
// step needs cross the link.
Offload with_host_memory(const Engine& engine, const Memory& memory, double prompt_tokens, double context);

}  // namespace aquatint::plan
