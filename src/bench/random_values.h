// Normal values for weights and inputs of kernels whose speed is measured.
#pragma once
#include <cstdint>
#include <vector>

#include "base/rng.h"

namespace aquatint::bench {

// The same ones whenever asked: drawn from a few thousand, which is quick and looks no different to a kernel.
inline std::vector<float> random_values(int64_t count, double deviation) {
  constexpr size_t kDraws = 1 << 12;
  base::Rng rng(1);
  std::vector<float> draws(kDraws), values(static_cast<size_t>(count));
  for (float& draw : draws) draw = static_cast<float>(deviation * rng.normal());
  for (float& value : values) value = draws[rng.next() % kDraws];
  return values;
}

}  // namespace aquatint::bench
