#include "base/huge_vector.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace aquatint::base {
namespace {

TEST(HugeVector, HoldsWhatAVectorHolds) {
  for (const size_t count : {size_t{0}, size_t{1}, size_t{1000}, size_t{2} << 20, (size_t{5} << 20) + 3}) {
    HugeVector<float> values(count);
    EXPECT_TRUE(std::all_of(values.begin(), values.end(), [](float v) { return v == 0; }));
    std::iota(values.begin(), values.end(), 0.0f);
    HugeVector<float> moved = std::move(values), copy = moved;
    EXPECT_EQ(copy, moved);
    copy.resize(count / 2);
    copy.shrink_to_fit();
    for (size_t i = 0; i < copy.size(); ++i) ASSERT_EQ(copy[i], static_cast<float>(i));
  }
}

TEST(HugeVector, LiesWhereAHugePageBegins) {
  const HugeVector<double> values(size_t{4} << 20);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(values.data()) % (size_t{2} << 20), 0u);
}

TEST(HugeVector, RefusesMoreThanThereIs) {
  EXPECT_THROW(allocate_huge(SIZE_MAX), std::bad_alloc);
  EXPECT_THROW(allocate_huge(size_t{1} << 62), std::bad_alloc);
}

}  // namespace
}  // namespace aquatint::base
