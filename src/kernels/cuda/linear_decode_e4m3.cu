#include "kernels/cuda/linear_decode_kernel.h"

namespace aquatint::kernels::cuda::decode {

void start_e4m3(const DecodeJob& job) { start_units<Codes::e4m3>(job); }

}  // namespace aquatint::kernels::cuda::decode
