// Rows of FP32 in pieces of 16 bytes where they lie so, else number by number.
#pragma once
#include <cstdint>
#include <initializer_list>

#include "kernels/cuda/ptx/wide_store.h"

namespace aquatint::kernels::cuda {

// Whether rows of `cols` numbers, each behind the last or `stride` apart, begin at multiples of 16 bytes.
inline bool wide_rows(int64_t cols, int64_t stride, std::initializer_list<const void*> begins) {
  bool wide = cols % 4 == 0 && stride % 4 == 0;
  for (const void* begin : begins) wide = wide && reinterpret_cast<uintptr_t>(begin) % 16 == 0;
  return wide;
}

// n numbers: float4 or one float.
template <bool kWide>
struct Piece {
  static constexpr int n = kWide ? 4 : 1;
  float x[n];

  __device__ static Piece load(const float* from) {
    Piece p;
    if constexpr (kWide) {
      const float4 v = *reinterpret_cast<const float4*>(from);
      p.x[0] = v.x, p.x[1] = v.y, p.x[2] = v.z, p.x[3] = v.w;
    } else {
      p.x[0] = *from;
    }
    return p;
  }
  __device__ void store(float* to) const {
    if constexpr (kWide)
      ptx::store_wide(to, x[0], x[1], x[2], x[3]);
    else
      *to = x[0];
  }
};

}  // namespace aquatint::kernels::cuda
