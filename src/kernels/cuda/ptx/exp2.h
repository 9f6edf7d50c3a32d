// 2^x with a relative error of at most 2^-22 (ex2.approx); results below 2^-126 are 0.
#pragma once
#include "kernels/cuda/simt.h"

namespace aquatint::kernels::cuda::ptx {

#ifdef __CUDACC__

__device__ inline float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

#else

float exp2_approx(float x);

#endif

}  // namespace aquatint::kernels::cuda::ptx
