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
    const Granularity granularity = scheme.weights.granularity;
    const bool sized = granularity == Granularity::group || granularity == Granularity::flat ||
                       granularity == Granularity::block;
    EXPECT_EQ(scheme.weights.group > 0, sized) << scheme.name;
    EXPECT_FALSE(scheme.note.empty()) << scheme.name;
    EXPECT_EQ(scheme.input.group > 0, scheme.input.format && scheme.input.granularity == Granularity::group);
    EXPECT_EQ(preset_of(scheme), &scheme) << scheme.name;  // no two presets are the same
  }
}

TEST(Schemes, KeepTheirPresetInOtherSizes) {
  const Scheme block = with_group(*find_scheme("FP8_BLOCK"), 64);
  EXPECT_EQ(block.weights.group, 64);
  EXPECT_EQ(block.input.group, 64);
  EXPECT_EQ(preset_of(block)->name, "FP8_BLOCK");
  Scheme w4 = with_group(*find_scheme("W4A16"), 32);
  w4.weights.scale_format = &fp16;
  EXPECT_EQ(preset_of(w4)->name, "W4A16");
  w4.weights.scale_format = &e8m0;
  EXPECT_EQ(preset_of(w4), nullptr);
}

TEST(Schemes, StaticScalesDoNotTellThemApart) {
  const Scheme& fp8 = *find_scheme("FP8");
  Scheme calibrated = fp8;
  calibrated.input.static_scale = 0.5f;
  EXPECT_TRUE(same_form(fp8, calibrated));
  EXPECT_FALSE(same_form(fp8, *find_scheme("FP8_DYNAMIC")));
  EXPECT_TRUE(fp8.input.needs_calibration() && find_scheme("NVFP4")->input.needs_calibration());
  EXPECT_FALSE(find_scheme("MXFP4")->input.needs_calibration() ||
               find_scheme("W4A16")->input.needs_calibration());
}

}  // namespace
}  // namespace aquatint::numeric
