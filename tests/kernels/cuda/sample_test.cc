// Drawing of tokens over the emulated device.
#include "kernels/sample_checks.h"

#include "kernels/cuda/emulated_set.h"

namespace aquatint::kernels {
namespace {

INSTANTIATE_TEST_SUITE_P(Cuda, Sample, testing::Values(&cuda::emulated_set()), sample_set_name);

}  // namespace
}  // namespace aquatint::kernels
