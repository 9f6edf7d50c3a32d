#include "kernels/sample_checks.h"

#include "kernels/cuda/gpu/staged_set.h"

namespace aquatint::kernels {
namespace {

INSTANTIATE_TEST_SUITE_P(Gpu, Sample, testing::Values(&cuda::staged_set()), sample_set_name);

}  // namespace
}  // namespace aquatint::kernels
