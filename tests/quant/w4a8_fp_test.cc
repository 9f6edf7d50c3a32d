#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/hash.h"
#include "calibrated_linear.h"

namespace aquatint::quant {
namespace {

using numeric::Granularity;
using numeric::WeightScheme;
using tensor::QuantizedMatrix;

constexpr int64_t kScaledRows = 40, kScaledCols = 256, kGroup = 32;
const WeightScheme kFp4 = {&numeric::fp4_e2m1, Granularity::group, kGroup, true, &numeric::bf16};

// Groups of very different sizes; the last of each row is tiny.
std::vector<float> weights() {
  std::vector<float> w = random_values(kScaledRows * kScaledCols, 2);
  for (size_t i = 0; i < w.size(); ++i) {
    const size_t group = i % kScaledCols / kGroup;
    w[i] *= group == 7 ? 1e-6f : 0.02f * static_cast<float>(1 + (i / kScaledCols * 5 + group * 3) % 7);
  }
  return w;
}

struct ScaledLinear : CalibratedLinear {
  explicit ScaledLinear(int threads = 2)
      : CalibratedLinear(threads, kScaledRows, kScaledCols, weights(), random_values(500 * kScaledCols, 1)) {}

  QuantizedMatrix run(const Method& method, const base::Json& settings = base::Json::object(),
                      const WeightScheme& scheme = kFp4) {
    return CalibratedLinear::run(method, scheme, Clip::mse, settings);
  }
};

bool is_power_of_two(float v) {
  int exponent;
  return std::frexp(v, &exponent) == 0.5f;
}

TEST(W4a8Fp, M1ScalesArePowersOfTwo) {
  ScaledLinear f;
  const QuantizedMatrix m = f.run(w4a8_fp, {{"scales", "m1"}});
  for (int64_t b = 0; b < m.blocks(); ++b) ASSERT_TRUE(is_power_of_two(m.scales.at(b))) << m.scales.at(b);
}

TEST(W4a8Fp, M2ScalesAreShiftsOfTheRows) {
  ScaledLinear f;
  const QuantizedMatrix m = f.run(w4a8_fp, {{"scales", "m2"}});
  bool other_than_powers = false;
  for (int64_t row = 0; row < kScaledRows; ++row) {
    float largest = 0;
    for (int64_t g = 0; g < kScaledCols / kGroup; ++g)
      largest = std::max(largest, m.scales.at(row * (kScaledCols / kGroup) + g));
    other_than_powers |= !is_power_of_two(largest);
    for (int64_t g = 0; g < kScaledCols / kGroup; ++g) {
      const float ratio = largest / m.scales.at(row * (kScaledCols / kGroup) + g);
      ASSERT_TRUE(is_power_of_two(ratio)) << ratio;
      ASSERT_LE(ratio, 256.0f);
    }
  }
  EXPECT_TRUE(other_than_powers);
}

TEST(W4a8Fp, LimitsCostLittleAndFreeScalesAreGptq) {
  ScaledLinear f;
  const double free = f.error(f.run(w4a8_fp)), nearest = f.error(f.run(rtn));
  EXPECT_EQ(free, f.error(f.run(gptq)));
  const double m1 = f.error(f.run(w4a8_fp, {{"scales", "m1"}})),
               m2 = f.error(f.run(w4a8_fp, {{"scales", "m2"}}));
  EXPECT_LT(free, nearest);
  EXPECT_LT(m2, m1);
  EXPECT_LT(m1, 1.6 * free);
  EXPECT_LT(m2, 1.3 * free);
}

TEST(W4a8Fp, DoesNotDependOnThreads) {
  ScaledLinear one(1), two(2);
  for (const char* scales : {"free", "m1", "m2"}) {
    const QuantizedMatrix a = one.run(w4a8_fp, {{"scales", scales}}),
                          b = two.run(w4a8_fp, {{"scales", scales}});
    EXPECT_EQ(base::sha256_hex(a.codes.bytes()), base::sha256_hex(b.codes.bytes()));
    EXPECT_EQ(base::sha256_hex(a.scales.codes.bytes()), base::sha256_hex(b.scales.codes.bytes()));
  }
}

TEST(W4a8Fp, RefusesIntegers) {
  ScaledLinear f;
  try {
    f.run(w4a8_fp, base::Json::object(), {&numeric::int4, Granularity::group, kGroup, true, &numeric::bf16});
    FAIL();
  } catch (const base::BadUsage& e) {
    EXPECT_NE(std::string(e.what()).find("not int4 weights under bf16; take scheme W4A8_FP"),
              std::string::npos)
        << e.what();
  }
}

}  // namespace
}  // namespace aquatint::quant
