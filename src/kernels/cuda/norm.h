// What rows.cu makes of a row and linear_input.cu on the way: the same operations in the same order.
#pragma once
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/wide.h"

namespace aquatint::kernels::cuda {

constexpr int kNormThreads = 256;  // of a block at most: which thread sums which columns follows from it

// 1 / √(mean(x²) + eps). By all threads of a block; `of_warps` as for block_sum().
template <bool kWide>
__device__ inline float norm_factor(const float* x, int64_t cols, float eps, float (&of_warps)[kMostWarps]) {
  using P = Piece<kWide>;
  const int64_t first = int64_t{thread_in_block()} * P::n, step = int64_t{block_threads()} * P::n;
  float squares = 0;
  for (int64_t i = first; i < cols; i += step) {
    const P p = P::load(x + i);
    AQ_UNROLL
    for (const float v : p.x) squares = fmaf(v, v, squares);
  }
  squares = block_sum(squares, of_warps);
  return 1.0f / sqrtf(squares / static_cast<float>(cols) + eps);
}

__device__ inline float scaled_by_norm(float x, float factor, float weight) {
  return __fmul_rn(__fmul_rn(x, factor), weight);
}

__device__ inline float silu_times(float gate, float up) {
  return __fmul_rn(__fdiv_rn(gate, __fadd_rn(1.0f, expf(-gate))), up);
}

}  // namespace aquatint::kernels::cuda
