#include "kernels/cuda/linear_decode_kernel.h"

namespace aquatint::kernels::cuda::decode {

void start_book4(const DecodeJob& job) { start_units<Codes::book4>(job); }

}  // namespace aquatint::kernels::cuda::decode
