// Dense products by cuBLASLt, which is opened when the first one is asked for. Rows of `d` depend on their
// row of `a` alone: the algorithm follows from type, n and k, never from m, and sums are not split.
#pragma once
#include <cstdint>

namespace aquatint::kernels::cuda {

// What a and b hold. Sums and d are FP32; of int8 they are INT32.
enum class GemmType { fp32, bf16, fp8_e4m3, int8 };  // fp32 without TF32

// Scales of FP8 operands, in device memory; null: 1.
enum class GemmScale {
  tensor,  // one
  row,     // one a row, of both operands or of none
  // One for 128 columns of k: of a, for each row alone; of b, for 128 rows together. Both operands so or
  // none.
  //   a: [ceil(k / 128)][m], b: [ceil(n / 128)][round_up(ceil(k / 128), 4)]
  block,
};

// d[m][n] = a[m][k] · b[n][k]ᵀ, or d += it. Pointers and rows of a and b are aligned to 16 bytes, d and its
// rows too; k is a multiple of 16 bytes, n of 4, of 16 with FP8. A row of d lies d_row elements behind the
// one before.
struct Gemm {
  GemmType type{};
  int64_t m = 0, n = 0, k = 0;
  const void* a = nullptr;
  int64_t a_row = 0;  // elements
  const void* b = nullptr;
  int64_t b_row = 0;
  void* d = nullptr;
  int64_t d_row = 0;
  bool accumulate = false;
  GemmScale scale = GemmScale::tensor;
  const float *a_scale = nullptr, *b_scale = nullptr;
};

// In the stream's order. Error, saying where it was looked for, when libcublasLt is not there.
void gemm(const Gemm& g);

}  // namespace aquatint::kernels::cuda
