#include "kernels/products_checks.h"

#include "kernels/cuda/gpu/staged_set.h"

namespace aquatint::kernels {
namespace {

INSTANTIATE_TEST_SUITE_P(Gpu, Products, testing::Values(&cuda::staged_set()), product_set_name);
INSTANTIATE_TEST_SUITE_P(Gpu, Cross, testing::Values(&cuda::staged_set()), product_set_name);
INSTANTIATE_TEST_SUITE_P(Gpu, ColumnMagnitudes, testing::Values(&cuda::staged_set()), product_set_name);

}  // namespace
}  // namespace aquatint::kernels
