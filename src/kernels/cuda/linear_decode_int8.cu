#include "kernels/cuda/linear_decode_kernel.h"

namespace aquatint::kernels::cuda::decode {

void start_int8(const DecodeJob& job) { start_units<Codes::int8>(job); }

}  // namespace aquatint::kernels::cuda::decode
