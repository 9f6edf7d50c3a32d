// Linears of the CUDA set over the emulated device, and what the kernels add to the contract.
#include "kernels/linear_checks.h"

#include "kernels/cuda/slots.h"

namespace aquatint::kernels {
namespace {

const KernelSet* emulated_cuda() {
  static const KernelSet set = [] {
    KernelSet s{};
    s.name = "emulated_cuda";
    s.pack = cuda::pack;
    s.linear = cuda::linear;
    return s;
  }();
  return &set;
}

INSTANTIATE_TEST_SUITE_P(Sets, Linear, testing::Values(emulated_cuda()), set_name);

}  // namespace
}  // namespace aquatint::kernels
