#include "kernels/guarded.h"
#include "kernels/products_checks.h"

namespace aquatint::kernels {
namespace {

INSTANTIATE_TEST_SUITE_P(Sets, Products, testing::ValuesIn(cpu_sets()), product_set_name);
INSTANTIATE_TEST_SUITE_P(Sets, Cross, testing::ValuesIn(cpu_sets()), product_set_name);

}  // namespace
}  // namespace aquatint::kernels
