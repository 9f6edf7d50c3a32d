// Products of a warp's tiles (mma.sync), operands in registers. PTX ISA 9.0, section "Matrix Fragments for
// mma.m16n8k16": lane = 4 · group + part, group 0 … 7, part 0 … 3;
//   a[0] row group,     columns 2 · part, + 1     a[2] the same row, columns + 8
//   a[1] row group + 8, the same columns          a[3] row group + 8, columns + 8
//   b[0] rows (of depth) 2 · part, + 1, column group;  b[1] the same, depth + 8
//   d[0], d[1] row group, columns 2 · part, + 1;       d[2], d[3] row group + 8
// Two values of 16 bits a word, the lower one in the low half. For 8-bit operands (m16n8k32) four values a
// word: columns 4 · part … + 3, and + 16 in place of + 8.
#pragma once
#include "kernels/cuda/simt.h"

namespace aquatint::kernels::cuda::ptx {

#ifdef __CUDACC__

// d += a · b, BF16 with FP32 sums.
__device__ inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#else

void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);

#endif

}  // namespace aquatint::kernels::cuda::ptx
