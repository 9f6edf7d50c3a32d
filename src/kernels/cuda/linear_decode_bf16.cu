#include "kernels/cuda/linear_decode_kernel.h"

namespace aquatint::kernels::cuda::decode {

void start_bf16(const DecodeJob& job) { start_tokens<Codes::bf16, 0>(job); }

}  // namespace aquatint::kernels::cuda::decode
