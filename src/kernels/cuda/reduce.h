// Sums and maxima over the threads of a warp or a block, always in the same order.
#pragma once
#include "kernels/cuda/simt.h"

namespace aquatint::kernels::cuda {

constexpr int kMostWarps = 32;  // of a block

__device__ inline int lane_id() { return thread_in_block() % kWarp; }
__device__ inline int warp_id() { return thread_in_block() / kWarp; }
__device__ inline int block_threads() { return static_cast<int>(blockDim.x); }

// join(a, b) over all lanes; every lane gets the result. `join` is commutative.
template <class T, class Join>
__device__ inline T warp_join(T value, Join join) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    value = join(value, __shfl_xor_sync(~0u, value, distance));
  return value;
}

__device__ inline float warp_sum(float x) {
  return warp_join(x, [](float a, float b) { return a + b; });
}
__device__ inline float warp_max(float x) {
  return warp_join(x, [](float a, float b) { return a > b ? a : b; });
}

// Every thread gets the sum; `of_warps` is shared memory that nobody else uses until the next barrier.
__device__ inline float block_sum(float x, float (&of_warps)[kMostWarps]) {
  x = warp_sum(x);
  if (lane_id() == 0) of_warps[warp_id()] = x;
  __syncthreads();
  const int warps = block_threads() / kWarp;
  return warp_sum(lane_id() < warps ? of_warps[lane_id()] : 0.0f);
}

// Threads for `items` pieces of work, whole warps, at most `most`.
inline uint32_t threads_for(int64_t items, int64_t most) {
  const int64_t wanted = blocks_for(items, kWarp) * kWarp;
  return static_cast<uint32_t>(wanted < kWarp ? kWarp : wanted > most ? most : wanted);
}

}  // namespace aquatint::kernels::cuda
