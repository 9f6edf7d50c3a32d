#include "kernels/cuda/linear_decode_kernel.h"

namespace aquatint::kernels::cuda::decode {

void start_int4(const DecodeJob& job) { start_units<Codes::int4>(job); }

}  // namespace aquatint::kernels::cuda::decode
