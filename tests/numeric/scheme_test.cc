#include "numeric/composed_scheme.h"

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

TEST(Schemes, ArePutTogetherInWords) {
  const Scheme* scheme = find_scheme("int4:group64");
  ASSERT_NE(scheme, nullptr);
  EXPECT_EQ(scheme->name, "int4:group64");
  EXPECT_EQ(scheme->weights, (WeightScheme{&int4, Granularity::group, 64, true, &bf16}));
  EXPECT_EQ(scheme->input, ActivationScheme{});
  EXPECT_EQ(find_scheme("INT4:Group64"), scheme);
  EXPECT_EQ(preset_of(*scheme)->name, "W4A16");
  const Scheme* both = find_scheme("int3:group32:asym/fp8_e4m3:tensor");
  ASSERT_NE(both, nullptr);
  EXPECT_FALSE(both->weights.symmetric);
  EXPECT_TRUE(both->input.needs_calibration());
  EXPECT_TRUE(same_form(*find_scheme("int8:channel/int8:token"), *find_scheme("W8A8")));
  for (const char* wrong :
       {"int4", "int4:", ":channel", "int4:row", "int4:group", "int4:group0", "int4:group-8", "int4:group64x",
        "uint8:channel", "nf4:channel", "bf16:channel", "fp8_e4m3:channel:asym", "int4:channel:sym",
        "int4:channel/", "int4:channel/int8", "int4:channel/int8:group64",
        "int4:channel/int8:token/int8:token", "int4:group99999999999"})
    EXPECT_EQ(find_scheme(wrong), nullptr) << wrong;
}

TEST(Schemes, ThatWordsCanSayAreFoundByForm) {
  EXPECT_EQ(composed_like(*find_scheme("W4A8"))->name, "int4:group128/int8:token");
  EXPECT_EQ(composed_like(*find_scheme("FP8"))->name, "fp8_e4m3:tensor/fp8_e4m3:tensor");
  EXPECT_EQ(composed_like(*find_scheme("NF4")), nullptr);
  EXPECT_EQ(composed_like(*find_scheme("MXFP4")), nullptr);
  EXPECT_EQ(composed_like(*find_scheme("FP8_BLOCK")), nullptr);
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
