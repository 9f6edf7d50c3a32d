// The CUDA set for tests that are written for the host's memory: every operation takes what it is given to
// the device, runs there and brings back what it may have changed.
#pragma once
#include "kernels/ops.h"

namespace aquatint::kernels::cuda {

const KernelSet& staged_set();

}  // namespace aquatint::kernels::cuda
