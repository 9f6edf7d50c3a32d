#include "kernels/attention_checks.h"

namespace aquatint::kernels {
namespace {

INSTANTIATE_TEST_SUITE_P(Sets, Attention,
                         testing::ValuesIn(sets_with_own(&KernelSet::attention, &KernelSet::store_kv)),
                         set_name);

// What int4 promises about the newest tokens, and that its rings hold them.
TEST(KvFormat, ExactPositionsAreThoseOfTheContract) {
  for (int64_t position = 0; position < 2000; ++position) {
    const int64_t from = kv_exact_from(position);
    EXPECT_EQ(0, from % kKvGroup);
    EXPECT_GE(position + 1 - from, std::min(kKvExact, position + 1));
    EXPECT_LT(position + 1 - from, kKvExact + kKvGroup);
    EXPECT_LE(position + kKvRows - from, kv_recent(KvFormat::int4, 0));
  }
}

}  // namespace
}  // namespace aquatint::kernels
