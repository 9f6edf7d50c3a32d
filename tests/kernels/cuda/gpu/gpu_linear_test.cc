#include "kernels/linear_checks.h"

#include "kernels/cuda/gpu/staged_set.h"

namespace aquatint::kernels {
namespace {

INSTANTIATE_TEST_SUITE_P(Gpu, Linear, testing::Values(&cuda::staged_set()), set_name);

}  // namespace
}  // namespace aquatint::kernels
