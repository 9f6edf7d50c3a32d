// A model in one choice on some cards of one kind: what fits, and how long a step takes.
#pragma once
#include <string>

#include "plan/choice.h"
#include "plan/efficiency.h"

namespace aquatint::plan {

struct Engine {
  const Shape* shape = nullptr;
  Choice choice;
  const Device* device = nullptr;
  int count = 1;  // cards that share every matrix (tensor parallel)
  Efficiency efficiency;
  // What follows from these.
  Execution run;
  numeric::WeightScheme weights;  // with its group; of quantized choices
};
// `shape` and `device` must outlive it. BadUsage where no group divides every width.
Engine make_engine(const Shape& shape, const Choice& choice, const Device& device, int count,
                   const Efficiency& efficiency);

// Operations/s in 16 bits, or FP32 where the device is faster at it, times `share`.
double plain_rate(const Engine& engine, double share);
// Bytes of one matrix as the choice keeps it.
double stored_bytes(const Engine& engine, const Matrices& matrix);

// Bytes of one card.
struct Memory {
  double total = 0;            // of the card
  double reserve = 0;          // left to the driver, fragments, other programs
  double weights = 0;          // a card's share, what every card holds whole included
  double workspace = 0;        // activations of the largest step, buffers of collectives
  double cache = 0;            // what is left for keys and values; negative: the weights do not fit
  double cache_per_token = 0;  // a card's share
  double cache_tokens = 0;     // that fit on all cards together

  bool fits() const { return cache > 0; }
};
Memory memory_of(const Engine& engine);
// Sequences of `context` tokens that fit at once, and the longest context of one.
double most_sequences(const Engine& engine, const Memory& memory, double context);
double longest_context(const Engine& engine, const Memory& memory);

// What one step works on.
struct Step {
  double sequences = 0;         // that generate a token each
  double context = 0;           // positions that each of them reads, on average
  double prompt_tokens = 0;     // of prompts, beside them
  double prompt_positions = 0;  // Σ over prompt tokens of the positions each reads
  double prompts_finished = 0;  // whose last token goes through the head
};

// Seconds of a step by what takes them. Phases follow each other; within one the slower of memory and
// arithmetic counts.
struct StepTime {
  double linears = 0, head = 0, attention = 0, collectives = 0, overhead = 0;
  bool linears_bound_by_memory = true;
  double total() const { return linears + head + attention + collectives + overhead; }
};
StepTime step_time(const Engine& engine, const Step& step);

// The prompt alone, and one token alone: what a single user sees.
double prefill_seconds(const Engine& engine, double prompt_tokens);
double token_seconds(const Engine& engine, double sequences, double context);

// "memory bandwidth (weights)", "arithmetic (linears)", …: the largest part.
std::string bound_by(const StepTime& time);

}  // namespace aquatint::plan
