// Loops of constant length, of which compilers make vectors.
#pragma once
#include <cstdint>
#include <type_traits>

namespace aquatint::base {

constexpr int64_t kLanes = 16;

// body(place, how many) for all of [first, end): kLanes at a time, as a constant, then what is left.
template <class Body>
void by_lanes(int64_t first, int64_t end, Body body) {
  for (; first + kLanes <= end; first += kLanes) body(first, std::integral_constant<int64_t, kLanes>{});
  if (first < end) body(first, end - first);
}

}  // namespace aquatint::base
