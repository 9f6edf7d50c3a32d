#include <algorithm>
#include <cmath>

#include "plan/engine.h"

namespace aquatint::plan {
namespace {

constexpr double kActivation = 2;  // bytes
// Buffers of the hidden size that live at once in a block: the residual, a norm's output, a product's input
// and output.
constexpr double kHiddenBuffers = 4;

// What grows with the tokens of a step: hidden states whole, the widest inner states shared out.
double activations(const Engine& engine) {
  const Shape& shape = *engine.shape;
  int64_t widest = 0;
  for (const Matrices& m : shape.matrices)
    if (m.quantized() && m.part != Part::expert) widest = std::max(widest, m.rows);
  const double inner = 2.0 * static_cast<double>(widest) / engine.count;
  return engine.efficiency.step_tokens * kActivation *
         (kHiddenBuffers * static_cast<double>(shape.hidden) + inner);
}

// Heads are shared out among cards as far as there are heads; further cards hold copies.
double cache_shards(const Engine& engine) {
  return static_cast<double>(std::min<int64_t>(engine.count, engine.shape->kv_heads));
}

}  // namespace

Memory memory_of(const Engine& engine) {
  Memory m;
  m.total = engine.device->memory_bytes;
  m.reserve = m.total * engine.efficiency.reserve;
  m.weights = weight_bytes(*engine.shape, engine.choice) / engine.count;
  m.workspace = engine.efficiency.fixed_bytes + activations(engine);
  m.cache = m.total - m.reserve - m.weights - m.workspace;
  m.cache_per_token = cache_bytes_per_token(*engine.shape, engine.choice) / cache_shards(engine);
  m.cache_tokens = std::max(0.0, m.cache) / m.cache_per_token;
  return m;
}

double most_sequences(const Engine& engine, const Memory& memory, double context) {
  const double each = cache_bytes(*engine.shape, engine.choice, context) / cache_shards(engine);
  return std::floor(std::max(0.0, memory.cache) / each);
}

double longest_context(const Engine& engine, const Memory& memory) {
  const double limit = engine.shape->max_context > 0 ? static_cast<double>(engine.shape->max_context) : 1e9;
  if (most_sequences(engine, memory, limit) >= 1) return limit;
  double fits = 0, does_not = limit;
  while (does_not - fits > 1) {
    const double middle = std::floor((fits + does_not) / 2);
    (most_sequences(engine, memory, middle) >= 1 ? fits : does_not) = middle;
  }
  return fits;
}

}  // namespace aquatint::plan
