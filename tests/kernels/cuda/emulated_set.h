// The CUDA set on the emulated device: the same kernels, read by the C++ compiler.
#pragma once
#include "kernels/ops.h"

namespace aquatint::kernels::cuda {

const KernelSet& emulated_set();

}  // namespace aquatint::kernels::cuda
