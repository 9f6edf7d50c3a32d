#include "plan/load.h"

#include <algorithm>
#include <cmath>

namespace aquatint::plan {
namespace {

// Every prompt token reads those before it and itself.
double positions_of(double prompt_tokens) { return prompt_tokens * (prompt_tokens + 1) / 2; }

// Halfway through its answer.
double mean_context(const Traffic& traffic) { return traffic.prompt_tokens + traffic.generate_tokens / 2; }

Step generating(const Traffic& traffic, double sequences) {
  return {.sequences = sequences, .context = mean_context(traffic)};
}

Step with_prompts(const Traffic& traffic, double sequences, double prompts) {
  Step step = generating(traffic, sequences);
  step.prompt_tokens = prompts * traffic.prompt_tokens;
  step.prompt_positions = prompts * positions_of(traffic.prompt_tokens);
  step.prompts_finished = prompts;
  return step;
}

StepTime mixed(const StepTime& a, const StepTime& b, double share_of_b) {
  const auto mix = [&](double x, double y) { return x + share_of_b * (y - x); };
  return {.linears = mix(a.linears, b.linears),
          .head = mix(a.head, b.head),
          .attention = mix(a.attention, b.attention),
          .collectives = mix(a.collectives, b.collectives),
          .overhead = mix(a.overhead, b.overhead),
          .linears_bound_by_memory = (share_of_b < 0.5 ? a : b).linears_bound_by_memory};
}

// The mean step of a steady load: as many prompts come in as sequences end. Fewer than one a step means that
// some steps have a whole prompt and the others none.
StepTime steady_step(const Engine& engine, const Traffic& traffic, double sequences) {
  const double prompts = sequences / traffic.generate_tokens;
  if (prompts >= 1) return step_time(engine, with_prompts(traffic, sequences, prompts));
  return mixed(step_time(engine, generating(traffic, sequences)),
               step_time(engine, with_prompts(traffic, sequences, 1)), prompts);
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
  s.step = step_time(engine, generating(traffic, 1));
  s.token = s.step.total();
  s.tokens_per_second = traffic.generate_tokens / (s.first_token + traffic.generate_tokens * s.token);
  s.bound = bound_by(s.step);
  return s;
}

Service at_batch(const Engine& engine, const Traffic& traffic, double sequences) {
  Service s;
  s.sequences = sequences;
  s.step = steady_step(engine, traffic, sequences);
  s.token = s.step.total();
  s.tokens_per_second = sequences / s.token;
  s.first_token = step_time(engine, with_prompts(traffic, sequences, 1)).total();
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
