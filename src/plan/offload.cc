#include "plan/offload.h"

#include <algorithm>
#include <cmath>

namespace aquatint::plan {
namespace {

double expert_bytes(const Engine& engine) {
  double total = 0;
  for (const Matrices& m : engine.shape->matrices) {
    if (m.part != Part::expert) continue;
    total += engine.choice.quantized()
                 ? static_cast<double>(m.count) * matrix_bytes(m.rows, m.cols, engine.weights)
                 : m.weights() * engine.choice.plain->bytes();
  }
  return total / engine.count;
}

// Bytes that cross the link in a step of `tokens`: of what is left off, experts go first, and only those
// that some token passes.
double crossing(const Engine& engine, double off, double tokens) {
  const double experts = std::min(off, expert_bytes(engine));
  if (engine.shape->experts == 0) return off;
  const double share =
      static_cast<double>(engine.shape->experts_per_token) / static_cast<double>(engine.shape->experts);
  return off - experts + experts * (1 - std::pow(1 - share, tokens));
}

}  // namespace

Offload with_host_memory(const Engine& engine, const Memory& memory, double prompt_tokens, double context) {
  const double cache = context * memory.cache_per_token;
  Offload o;
  o.bytes_off = std::max(0.0, cache - memory.cache);
  const double link = engine.device->host_bandwidth * engine.efficiency.link;
  o.token_seconds = token_seconds(engine, 1, context) + crossing(engine, o.bytes_off, 1) / link;
  o.prefill_seconds =
      prefill_seconds(engine, prompt_tokens) + crossing(engine, o.bytes_off, prompt_tokens) / link;
  return o;
}

}  // namespace aquatint::plan
