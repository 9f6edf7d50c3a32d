// One code of a lane of a cache's line (kv_layout.h).
#pragma once
#include <cstddef>

#include "base/bytes.h"
#include "kernels/kv_layout.h"

namespace aquatint::kernels::ref {

// Code `index` mod per_lane.
inline uint32_t get_code(const std::byte* lane, int64_t per_lane, int64_t index) {
  const int64_t bits = 32 / per_lane;
  const auto codes = base::load<uint32_t>(lane);
  return bits == 32 ? codes : codes >> kv_code_bit(per_lane, index % per_lane) & ((1u << bits) - 1);
}

inline void put_code(std::byte* lane, int64_t per_lane, int64_t index, uint32_t code) {
  const int64_t bits = 32 / per_lane, shift = kv_code_bit(per_lane, index % per_lane);
  const uint32_t mask = (bits == 32 ? ~0u : (1u << bits) - 1) << shift;
  base::store(lane, (base::load<uint32_t>(lane) & ~mask) | (code << shift & mask));
}

}  // namespace aquatint::kernels::ref
