// Rope's turns. Sine and cosine of its angles, which reach the largest position: CUDA's sinf leaves the
// registers for angles above 105615, so the angle is reduced in FP64.
#pragma once
#include <cmath>

#include "kernels/cuda/simt.h"

namespace aquatint::kernels::cuda {

struct SineCosine {
  float sine, cosine;
};

// Within 1.5 ulp of FP32 for |angle| < 2^24: r = angle − k · π/2 has an absolute error below 2^-28 and the
// polynomials on |r| ≤ π/4 (Moshier, Cephes, sinf and cosf) below 2^-24.
__host__ __device__ inline SineCosine sine_cosine(float angle) {
  const double k = rint(static_cast<double>(angle) * 0.6366197723675814);
  const auto r = static_cast<float>(fma(k, -1.5707963267948966, static_cast<double>(angle)));
  const float z = r * r;
  const float sine = fmaf(fmaf(fmaf(-1.9515295891e-4f, z, 8.3321608736e-3f), z, -1.6666654611e-1f) * z, r, r);
  const float high = fmaf(fmaf(2.443315711809948e-5f, z, -1.388731625493765e-3f), z, 4.166664568298827e-2f);
  const float cosine = fmaf(high * z, z, fmaf(-0.5f, z, 1.0f));
  const int quarter = static_cast<int>(k) & 3;
  const float s = quarter % 2 == 0 ? sine : cosine, c = quarter % 2 == 0 ? cosine : sine;
  return {quarter >= 2 ? -s : s, quarter == 1 || quarter == 2 ? -c : c};
}

// The pair (at[0], at[half]) of a head, turned by one angle; cosine and sine times `factor`. Where it rounds
// is written out, so that all kernels get the same bits.
__device__ inline void turn_pair(float* at, int half, const SineCosine& turn, float factor) {
  const float c = __fmul_rn(turn.cosine, factor), s = __fmul_rn(turn.sine, factor);
  const float a = at[0], b = at[half];
  at[0] = fmaf(a, c, -__fmul_rn(b, s));
  at[half] = fmaf(b, c, __fmul_rn(a, s));
}

}  // namespace aquatint::kernels::cuda
