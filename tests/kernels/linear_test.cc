#include "kernels/linear_checks.h"

namespace aquatint::kernels {
namespace {

INSTANTIATE_TEST_SUITE_P(Sets, Linear, testing::ValuesIn(cpu_sets()), set_name);

// Scales and codes are compressed-tensors 0.20's (compute_dynamic_scales_and_zp, quantize) for these rows.
TEST(InputRounding, IsTheRuleOfCompressedTensors) {
  struct Row {
    std::vector<float> x;
    float int8_scale;
    std::vector<float> int8_codes;
    float fp8_scale;
    std::vector<float> fp8_values;
  };
  const Row rows[] = {
      {{1, -1, 0.5f, 0.00392156862f},
       0x1.010102p-7f,
       {127, -127, 64, 0},
       0x1.24924ap-9f,
       {448, -448, 224, 1.75f}},
      {{0.3f, -0.77f, 0.123f, -0.0051f},
       0x1.8bc93ap-8f,
       {50, -127, 20, -1},
       0x1.c28f5cp-10f,
       {176, -448, 72, -3}},
      {{0, 0, 0, 0}, 0x1p-23f, {0, 0, 0, 0}, 0x1p-23f, {0, 0, 0, 0}},
  };
  const numeric::ActivationScheme int8_token = {&numeric::int8, numeric::Granularity::token};
  const numeric::ActivationScheme fp8_token = {&numeric::fp8_e4m3, numeric::Granularity::token};
  for (const Row& row : rows) {
    std::vector<float> values(4);
    EXPECT_EQ(round_input(int8_token, Precision::fp32, row.x.data(), 4, values.data()), row.int8_scale);
    EXPECT_EQ(values, row.int8_codes);
    EXPECT_EQ(round_input(fp8_token, Precision::fp32, row.x.data(), 4, values.data()), row.fp8_scale);
    EXPECT_EQ(values, row.fp8_values);
  }
}

// fake_quantize of compressed-tensors 0.20 with these arguments.
TEST(InputRounding, GroupsAreThoseOfCompressedTensors) {
  using numeric::Granularity;
  std::vector<float> x, values(32);
  for (int i = 0; i < 4; ++i)
    for (const float v : {0.3f, -0.77f, 0.123f, -0.0051f, 2.5f, -6.25f, 1.75f, 0.6f}) x.push_back(v);
  const auto expect = [&](const numeric::ActivationScheme& scheme, const std::vector<float>& first) {
    EXPECT_EQ(round_input(scheme, Precision::fp32, x.data(), 32, values.data()), 1.0f);
    for (size_t i = 0; i < 32; ++i) EXPECT_EQ(values[i], first[i % 8]) << scheme.format->name << " " << i;
  };
  const numeric::Format &fp4 = numeric::fp4_e2m1, &fp8 = numeric::fp8_e4m3;
  expect({&fp4, Granularity::group, true, 0, 32, &numeric::e8m0}, {0.5f, -1, 0, 0, 2, -6, 2, 0.5f});
  expect({&fp8, Granularity::group, true, 0, 32, &numeric::e8m0},
         {0.3125f, -0.75f, 0.125f, -0x1.4p-8f, 2.5f, -6, 1.75f, 0.625f});
  expect({&fp8, Granularity::group, true, 0, 8},
         {0x1.3a4924p-2f, -0x1.9p-1f, 0x1.012492p-3f, -0x1.56db6ep-8f, 0x1.3a4924p+1f, -0x1.9p+2f,
          0x1.c92492p+0f, 0x1.3a4924p-1f});
  expect({&fp4, Granularity::group, true, 300, 16, &fp8},
         {0x1.111112p-1f, -0x1.111112p-1f, 0, 0, 0x1.111112p+1f, -0x1.99999cp+2f, 0x1.99999cp+0f,
          0x1.111112p-1f});
}

TEST(InputRounding, OutliersAreLeftOut) {
  numeric::ActivationScheme scheme = {&numeric::int8, numeric::Granularity::token};
  scheme.outlier_threshold = 6;
  const std::vector<float> x = {1, -3, 8, 0.5f, -6, 0};
  std::vector<float> values(x.size()), outliers;
  EXPECT_EQ(round_input(scheme, Precision::fp32, x.data(), 6, values.data()), 3.0f / 127);
  EXPECT_EQ(values, (std::vector<float>{42, -127, 0, 21, 0, 0}));
  for (const float v : x) outliers.push_back(outlier_of(scheme, Precision::fp32, v));
  EXPECT_EQ(outliers, (std::vector<float>{0, 0, 8, 0, -6, 0}));
  // 5.99 is 6 in BF16, and 6.01 too.
  EXPECT_EQ(outlier_of(scheme, Precision::fp32, 5.99f), 0);
  EXPECT_EQ(outlier_of(scheme, Precision::bf16, 5.99f), 6);
  EXPECT_EQ(outlier_of(scheme, Precision::bf16, -6.01f), -6);
  EXPECT_EQ(outlier_of({&numeric::int8, numeric::Granularity::token}, Precision::fp32, 100), 0);
}

TEST(InputRounding, UnsupportedSchemesAreRefused) {
  for (const float threshold : {-1.0f, INFINITY, NAN}) {
    numeric::ActivationScheme scheme = {&numeric::int8, numeric::Granularity::token};
    scheme.outlier_threshold = threshold;
    EXPECT_THROW(check_input_scheme(scheme), base::BadInput) << threshold;
    scheme.outlier_threshold = 6;
    EXPECT_NO_THROW(check_input_scheme(scheme));
    scheme.format = &numeric::fp8_e4m3;
    EXPECT_THROW(check_input_scheme(scheme), base::BadInput);
  }
  EXPECT_THROW(check_input_scheme({&numeric::int8, numeric::Granularity::group, true, 0, 32}),
               base::BadInput);
  EXPECT_THROW(check_input_scheme({&numeric::fp8_e4m3, numeric::Granularity::group}), base::BadInput);
  EXPECT_THROW(
      check_input_scheme({&numeric::fp4_e2m1, numeric::Granularity::group, true, 0, 16, &numeric::fp8_e4m3}),
      base::BadInput);
  EXPECT_THROW(check_input_scheme({&numeric::nf4, numeric::Granularity::token}), base::BadInput);
  EXPECT_THROW(check_input_scheme({&numeric::int8, numeric::Granularity::tensor}), base::BadInput);
  EXPECT_THROW(check_input_scheme({&numeric::int8, numeric::Granularity::tensor, false, 0}), base::BadInput);
}

TEST(KernelSets, AreOrderedAndNamed) {
  ASSERT_FALSE(kernel_sets().empty());
  EXPECT_EQ(kernel_sets().back()->name, "ref");
  const auto sets = usable_sets();
  EXPECT_EQ(&kernel_set("auto"), *std::find_if(sets.begin(), sets.end(), [](const KernelSet* set) {
    return !set->worthwhile || set->worthwhile();
  }));
  for (const KernelSet* set : usable_sets()) EXPECT_EQ(&kernel_set(set->name), set);
}

TEST(KernelSets, UnknownAndUnusableNamesAreRefused) {
  EXPECT_THROW(kernel_set("avx1024"), base::BadUsage);
  for (const KernelSet* set : kernel_sets()) {
    if (set->usable()) continue;
    try {
      kernel_set(set->name);
      ADD_FAILURE() << set->name << " is unusable and was returned";
    } catch (const base::BadUsage& error) {
      EXPECT_NE(std::string(error.what()).find("lacks"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace aquatint::kernels
