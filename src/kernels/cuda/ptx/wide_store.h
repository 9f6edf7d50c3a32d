// Sixteen bytes to global memory at once (st.global.v4), where the compiler takes stores apart.
#pragma once
#include "kernels/cuda/simt.h"

namespace aquatint::kernels::cuda::ptx {

// `to` is a multiple of 16 bytes.
__device__ inline void store_wide(float* to, float a, float b, float c, float d) {
#ifdef __CUDACC__
  asm volatile("st.global.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(to), "f"(a), "f"(b), "f"(c), "f"(d)
               : "memory");
#else
  *reinterpret_cast<float4*>(to) = make_float4(a, b, c, d);
#endif
}

}  // namespace aquatint::kernels::cuda::ptx
