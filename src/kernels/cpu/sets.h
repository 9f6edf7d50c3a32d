// The kernel sets for CPUs; list.cc puts them in order.
#pragma once
#include "kernels/ops.h"

namespace aquatint::kernels {

namespace scalar {
extern const KernelSet set_of_kernels;
}
namespace avx2 {
extern const KernelSet set_of_kernels;
}
namespace avx512 {
extern const KernelSet set_of_kernels;
}
namespace avx512_bf16 {
extern const KernelSet set_of_kernels;
}
namespace amx {
extern const KernelSet set_of_kernels;
}

}  // namespace aquatint::kernels
