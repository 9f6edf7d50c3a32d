#include "kernels/rows_checks.h"

namespace aquatint::kernels {
namespace {

INSTANTIATE_TEST_SUITE_P(Sets, Rows, testing::ValuesIn(usable_sets()), set_name);

}  // namespace
}  // namespace aquatint::kernels
