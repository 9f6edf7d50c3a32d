// The kernel set for NVIDIA's Hopper GPUs (sm_90a). Programs built without CUDA have no_cuda.cc in its place.
#pragma once
#include <string>

#include "kernels/ops.h"

namespace aquatint::kernels::cuda {

// Opens the device when first asked for. BadUsage, in one line, when this program was built without CUDA or
// the machine has no such GPU.
const KernelSet& kernel_set();
// What the GPU is, or in one line why there is none.
std::string device_words();
std::string gpu_name();  // the driver's name of it; opens it

// The set itself and its memory, of whatever device.h stands for.
const Memory& memory();
KernelSet make_set();

}  // namespace aquatint::kernels::cuda
