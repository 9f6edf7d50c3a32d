// Four floats at a time: GCC's portable vectors, one register on any x86-64 or AArch64, and the same results
// on every machine, because each operation rounds by itself and sums are taken lane by lane.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>

#define AQ_INLINE [[gnu::always_inline]] inline  // as src/kernels/cpu has it

namespace aquatint::base {

constexpr int64_t kLanes = 4;
typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float))));
typedef int32_t IntLanes __attribute__((vector_size(kLanes * sizeof(int32_t))));  // a cast keeps the bits

// `count` numbers, a constant or fewer than kLanes, and `rest` behind them.
template <class Count>
AQ_INLINE Lanes load_lanes(const float* from, Count count, float rest = 0) {
  Lanes x = Lanes{} + rest;
  std::memcpy(&x, from, static_cast<size_t>(count) * sizeof(float));
  return x;
}
template <class Count>
AQ_INLINE void store_lanes(float* to, Count count, const Lanes& x) {
  std::memcpy(to, &x, static_cast<size_t>(count) * sizeof(float));
}

// body(place, count) for all of [first, end): kLanes at a time, as a constant, then what is left.
template <class Body>
AQ_INLINE void by_lanes(int64_t first, int64_t end, Body body) {
  for (; first + kLanes <= end; first += kLanes) body(first, std::integral_constant<int64_t, kLanes>{});
  if (first < end) body(first, end - first);
}

AQ_INLINE Lanes clamp(const Lanes& x, float low, float high) {
  const Lanes above = x > low ? x : Lanes{} + low;
  return above < high ? above : Lanes{} + high;
}

inline float sum(const Lanes& x) { return (x[0] + x[1]) + (x[2] + x[3]); }

}  // namespace aquatint::base
