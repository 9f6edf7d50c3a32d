#include "numeric/scheme.h"

#include <gtest/gtest.h>

#include <set>

namespace aquatint::numeric {
namespace {

TEST(Schemes, AreFoundInAnyCase) {
  EXPECT_EQ(find_scheme("w4a16"), find_scheme("W4A16"));
  EXPECT_EQ(find_scheme("Fp8_Dynamic")->name, "FP8_DYNAMIC");
  EXPECT_EQ(find_scheme("W4A1"), nullptr);
  EXPECT_EQ(find_scheme("W4A160"), nullptr);
  EXPECT_EQ(find_scheme(""), nullptr);
}

TEST(Schemes, AreComplete) {
  std::set<std::string_view> names;
  for (const Scheme& scheme : schemes()) {
    EXPECT_TRUE(names.insert(scheme.name).second) << scheme.name;
    ASSERT_NE(scheme.weights.format, nullptr) << scheme.name;
    ASSERT_NE(scheme.weights.scale_format, nullptr) << scheme.name;
    const bool sized =
        scheme.weights.granularity == Granularity::group || scheme.weights.granularity == Granularity::flat;
    EXPECT_EQ(scheme.weights.group > 0, sized) << scheme.name;
    EXPECT_FALSE(scheme.note.empty()) << scheme.name;
  }
}

}  // namespace
}  // namespace aquatint::numeric
