// Formats that are a table of values.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

namespace aquatint::numeric {

// Nearest entry of an ascending table; a tie goes to the lower entry, as bitsandbytes' bucketize does.
template <size_t n>
uint32_t nearest_entry(const std::array<float, n>& ascending, float value) {
  if (std::isnan(value)) return 0;
  uint32_t index = 0;
  while (index + 1 < n && value > (ascending[index] + ascending[index + 1]) * 0.5f) ++index;
  return index;
}

}  // namespace aquatint::numeric
