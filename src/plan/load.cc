#include "plan/load.h"

#include <algorithm>
#include <cmath>

namespace aquatint::plan {
namespace {

// Every prompt token reads those before it and itself.
double positions_of(double prompt_tokens) { return prompt_tokens * (prompt_tokens + 1) / 2; }

// Halfway through its answer.
double mean_context(const Traffic& traffic) { return traffic.prompt_tokens + traffic.generate_tokens / 2; }

// Each step some sequences end and as many prompts come in.
Step steady_step(const Traffic& traffic, double sequences) {
  const double prompts = sequences / traffic.generate_tokens;
  return {.sequences = sequences,
          .context = mean_context(traffic),
          .prompt_tokens = prompts * traffic.prompt_tokens,
          .prompt_positions = prompts * positions_of(traffic.prompt_tokens),
          .prompts_finished = prompts};
}

// A whole prompt beside sequences that go on generating.
double first_token_seconds(const Engine& engine, const Traffic& traffic, double sequences) {
  return step_time(engine, {.sequences = sequences,
                            .context = mean_context(traffic),
                            .prompt_tokens = traffic.prompt_tokens,
                            .prompt_positions = positions_of(traffic.prompt_tokens),
                            .prompts_finished = 1})
      .total();
}

// The memory's limit, and that of a step's tokens.
double sequence_limit(const Engine& engine, const Memory& memory, const Traffic& traffic) {
  const double tokens_each = 1 + traffic.prompt_tokens / traffic.generate_tokens;
  return std::min(most_sequences(engine, memory, traffic.context()),
                  std::floor(engine.efficiency.step_tokens / tokens_each));
}

bool within(const Service& service, const Limits& limits) {
  return (limits.token == 0 || service.token <= limits.token) &&
         (limits.first_token == 0 || service.first_token <= limits.first_token);
}

// The largest whole number in [1, most] that holds, where all below one that holds do too; 0: none.
template <class Holds>
double largest(double most, Holds holds) {
  if (most < 1 || !holds(1)) return 0;
  double good = 1, bad = most + 1;
  while (bad - good > 1) {
    const double middle = std::floor((good + bad) / 2);
    (holds(middle) ? good : bad) = middle;
  }
  return good;
}

}  // namespace

Service alone(const Engine& engine, const Traffic& traffic) {
  Service s;
  s.sequences = 1;
  s.first_token = prefill_seconds(engine, traffic.prompt_tokens);
  s.step = step_time(engine, {.sequences = 1, .context = mean_context(traffic)});
  s.token = s.step.total();
  s.tokens_per_second = traffic.generate_tokens / (s.first_token + traffic.generate_tokens * s.token);
  s.bound = bound_by(s.step);
  return s;
}

Service at_batch(const Engine& engine, const Traffic& traffic, double sequences) {
  Service s;
  s.sequences = sequences;
  s.step = step_time(engine, steady_step(traffic, sequences));
  s.token = s.step.total();
  s.tokens_per_second = sequences / s.token;
  s.first_token = first_token_seconds(engine, traffic, sequences);
  s.bound = bound_by(s.step);
  return s;
}

Service at_most(const Engine& engine, const Memory& memory, const Traffic& traffic, const Limits& limits) {
  const double sequences = largest(sequence_limit(engine, memory, traffic),
                                   [&](double n) { return within(at_batch(engine, traffic, n), limits); });
  return sequences > 0 ? at_batch(engine, traffic, sequences) : Service{};
}

Service at_rate(const Engine& engine, const Memory& memory, const Traffic& traffic,
                double requests_per_second) {
  const double limit = sequence_limit(engine, memory, traffic);
  const double wanted = requests_per_second * traffic.generate_tokens;
  const double too_few =
      largest(limit, [&](double n) { return at_batch(engine, traffic, n).tokens_per_second < wanted; });
  if (limit < 1 || too_few >= limit) return {};
  Service s = at_batch(engine, traffic, too_few + 1);
  s.tokens_per_second = wanted;
  // Prompts come at random and take their turn: the wait of a queue with one server and equal work
  // (Pollaczek–Khinchine), after half a step that is under way.
  const double busy = std::min(0.99, requests_per_second * prefill_seconds(engine, traffic.prompt_tokens));
  s.first_token += s.token / 2 + busy / (2 * (1 - busy)) * s.first_token;
  return s;
}

}  // namespace aquatint::plan
