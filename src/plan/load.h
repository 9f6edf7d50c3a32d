// What users see of an engine: alone, at the most it can carry, and under a load. Closed form; simulate.h
// plays the same through step by step.
#pragma once
#include "plan/engine.h"

namespace aquatint::plan {

// Requests that are all alike.
struct Traffic {
  double prompt_tokens = 1000, generate_tokens = 500;
  double requests_per_second = 0;  // on average; 0: as many as can be carried
  double peak = 1;                 // the busiest time's rate over the average's: what is sized for

  double context() const { return prompt_tokens + generate_tokens; }
};

// Limits in seconds; 0: none.
struct Limits {
  double first_token = 0;  // time to first token, TTFT
  double token = 0;        // time per output token, TPOT
};

struct Service {
  double sequences = 0;          // at once
  double first_token = 0;        // seconds, with what it waits for
  double token = 0;              // seconds between tokens
  double tokens_per_second = 0;  // generated, of all sequences
  StepTime step;
  std::string bound;  // what binds it
};

// One user on an idle engine: synchronous use.
Service alone(const Engine& engine, const Traffic& traffic);

// A steady number of sequences: each step generates a token for all of them and takes in its share of
// prompts.
Service at_batch(const Engine& engine, const Traffic& traffic, double sequences);

// The most an engine carries within its memory and the limits: asynchronous use. No sequences when not even
// one meets them.
Service at_most(const Engine& engine, const Memory& memory, const Traffic& traffic, const Limits& limits);

// The fewest sequences that keep up with `requests_per_second` (of this one engine), and what waiting for
// the prompt's turn adds at random arrivals. No sequences when it cannot keep up.
Service at_rate(const Engine& engine, const Memory& memory, const Traffic& traffic,
                double requests_per_second);

}  // namespace aquatint::plan
