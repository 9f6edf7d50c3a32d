// Continuous batching, played through step by step on predicted step times: what queues do to latency. The
// same seed gives the same result.
#pragma once
#include <cstdint>

#include "plan/load.h"

namespace aquatint::plan {

struct Simulation {
  double requests_per_second = 0;  // Poisson arrivals; 0: all are there at the start
  int64_t requests = 400;
  double most_tokens = 8192;    // prompts and generated ones of one step
  double most_sequences = 0;    // 0: as the memory allows; a request enters when its whole context has room
  bool chunked_prompts = true;  // a prompt may be spread over steps
  uint64_t seed = 0;
};

struct Percentiles {
  double mean = 0, p50 = 0, p90 = 0, p99 = 0;
};

struct Played {
  Percentiles first_token, token;  // seconds; of a request the mean between its tokens
  double tokens_per_second = 0;    // generated, from first arrival to last token
  double seconds = 0;
  double most_sequences = 0;  // at once
  int64_t steps = 0;
};

Played simulate(const Engine& engine, const Memory& memory, const Traffic& traffic,
                const Simulation& settings);

}  // namespace aquatint::plan
