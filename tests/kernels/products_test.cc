#include "kernels/guarded.h"
#include "kernels/products_checks.h"

namespace aquatint::kernels {
namespace {

INSTANTIATE_TEST_SUITE_P(Sets, Products,
                         testing::ValuesIn(sets_with_own(&KernelSet::add_product,
                                                         &KernelSet::add_product_fp64)),
                         product_set_name);
INSTANTIATE_TEST_SUITE_P(Sets, Cross, testing::ValuesIn(sets_with_own(&KernelSet::add_cross)),
                         product_set_name);
INSTANTIATE_TEST_SUITE_P(Sets, ColumnMagnitudes, testing::ValuesIn(sets_with_own(&KernelSet::add_magnitudes)),
                         product_set_name);

}  // namespace
}  // namespace aquatint::kernels
