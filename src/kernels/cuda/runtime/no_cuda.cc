// In the place of the CUDA set where this program is built without a toolkit.
#include "base/error.h"
#include "kernels/cuda/sets.h"

namespace aquatint::kernels::cuda {
namespace {

constexpr const char* kWhy =
    "--device cuda: this program was built without CUDA (no nvcc or no GPU was found); use --device cpu, or "
    "build "
    "with -DAQUATINT_CUDA=ON";

}  // namespace

const KernelSet& kernel_set() { throw base::BadUsage(kWhy); }
std::string device_words() { return kWhy; }
std::string gpu_name() { throw base::BadUsage(kWhy); }

}  // namespace aquatint::kernels::cuda
