// Arithmetic on two 16-bit values in a word, and conversions. Rounding is to nearest, ties to even; subnormal
// numbers count.
#pragma once
#include "kernels/cuda/simt.h"

namespace aquatint::kernels::cuda::ptx {

#ifdef __CUDACC__

__device__ inline uint32_t sub_bf16(uint32_t a, uint32_t b) {
  uint32_t d;
  asm("sub.rn.bf16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
  return d;
}
__device__ inline uint32_t mul_bf16(uint32_t a, uint32_t b) {
  uint32_t d;
  asm("mul.rn.bf16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
  return d;
}
__device__ inline uint32_t to_bf16(float low, float high) {
  uint32_t d;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
  return d;
}
__device__ inline float from_fp16(uint32_t bits) {
  float d;
  asm("cvt.f32.f16 %0, %1;" : "=f"(d) : "h"(static_cast<unsigned short>(bits)));
  return d;
}

#else

uint32_t sub_bf16(uint32_t a, uint32_t b);
uint32_t mul_bf16(uint32_t a, uint32_t b);
uint32_t to_bf16(float low, float high);
float from_fp16(uint32_t bits);

#endif

}  // namespace aquatint::kernels::cuda::ptx
