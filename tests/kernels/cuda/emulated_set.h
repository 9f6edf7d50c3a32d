// The CUDA set over the emulated device, its linears and products apart: those of `ref`.
#pragma once
#include "kernels/ops.h"

namespace aquatint::kernels::cuda {

const KernelSet& emulated_set();

}  // namespace aquatint::kernels::cuda
