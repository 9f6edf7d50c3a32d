// Many tokens times a packed weight: decoded once into working memory, multiplied by gemm.h. Bound by the
// products; decoding costs a read of the weight and a write of twice to four times that.
#pragma once
#include "kernels/cuda/linear_decode.h"

namespace aquatint::kernels::cuda {

// Values of all blocks of rows, rounded to BF16: [row_blocks · 64][depth], depth = records · columns.
void decode_to_bf16(const DecodeWeight& w, uint16_t* values);

// Integer codes without their bias, as int8, or E4M3 codes as they are: [row_blocks · 64][depth]. Their
// scales stand by the row.
void decode_to_bytes(const DecodeWeight& w, uint8_t* values);

// y = products (· scales[token]) (+ bias) (+ y); products are [tokens][row_blocks · 64], or sums of integers,
// which meet the factors of their rows.
struct Finish {
  const float* products = nullptr;
  const int32_t* sums = nullptr;
  int64_t tokens = 0;
  const float* scales = nullptr;
};
void finish_products(const DecodeWeight& w, const Finish& f, const DecodeOutput& out);

}  // namespace aquatint::kernels::cuda
