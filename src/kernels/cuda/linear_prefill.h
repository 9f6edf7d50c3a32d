// Many tokens times a packed weight: decoded once into working memory, multiplied by gemm.h. Bound by the
// products; decoding costs a read of the weight and a write of twice to four times that.
#pragma once
#include "kernels/cuda/linear_decode.h"

namespace aquatint::kernels::cuda {

// Values of all blocks of rows, rounded to BF16: [row_blocks · 64][depth], depth = records · columns.
void decode_to_bf16(const DecodeWeight& w, uint16_t* values);

// y = products (· scales[token]) (+ bias) (+ y); products are [tokens][row_blocks · 64].
struct Finish {
  const float* products = nullptr;
  int64_t tokens = 0;
  const float* scales = nullptr;
};
void finish_products(const DecodeWeight& w, const Finish& f, const DecodeOutput& out);

}  // namespace aquatint::kernels::cuda
