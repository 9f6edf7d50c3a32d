#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/hash.h"
#include "base/rng.h"
#include "quant/method.h"

namespace aquatint::quant {
namespace {

using numeric::Granularity;
using numeric::WeightScheme;
using tensor::QuantizedMatrix;

constexpr int64_t kHqqRows = 24, kHqqCols = 192;

// Skewed, with heavy tails.
std::vector<float> weights() {
  base::Rng rng(1);
  std::vector<float> w(static_cast<size_t>(kHqqRows * kHqqCols));
  for (float& v : w) {
    const double x = rng.normal();
    v = static_cast<float>(0.03 * (x + 0.3 * x * x) * (rng.below(30) == 0 ? 4 : 1));
  }
  return w;
}

QuantizedMatrix run(const Method& method, const WeightScheme& scheme, int threads = 2,
                    const base::Json& settings = base::Json::object()) {
  base::ThreadPool pool(threads);
  MethodOptions options{.settings = default_settings(method)};
  options.settings.update(settings);
  return method.quantize(weights(), kHqqRows, kHqqCols, scheme, options, pool);
}

// Σ |error|^p, each in units of what rtn has as its block's scale.
double norm(const QuantizedMatrix& m, const QuantizedMatrix& units, double p) {
  std::vector<float> values(static_cast<size_t>(kHqqRows * kHqqCols));
  tensor::dequantize(m, 0, kHqqRows, values.data());
  const std::vector<float> w = weights();
  double sum = 0;
  for (int64_t i = 0; i < kHqqRows * kHqqCols; ++i) {
    const double unit = units.scales.at(units.block_of(i / kHqqCols, i % kHqqCols));
    sum += std::pow(
        std::fabs(double{w[static_cast<size_t>(i)]} - values[static_cast<size_t>(i)]) / std::fabs(unit), p);
  }
  return sum;
}

std::vector<WeightScheme> fitted_schemes() {
  return {{&numeric::int4, Granularity::group, 64, false, &numeric::bf16, false, true},
          {&numeric::int4, Granularity::group, 64, false, &numeric::bf16},
          {&numeric::int4, Granularity::group, 64, true, &numeric::bf16},
          {&numeric::int3, Granularity::group, 32, false, &numeric::bf16, false, true},
          {&numeric::int2, Granularity::group, 32, false, &numeric::bf16},
          {&numeric::fp4_e2m1, Granularity::group, 64, true, &numeric::bf16},
          {&numeric::int8, Granularity::channel, 0, true, &numeric::fp32}};
}

TEST(Hqq, LowersTheNormThatItMinimises) {
  for (const WeightScheme& scheme : fitted_schemes())
    for (const double p : {0.5, 0.7, 1.0}) {
      const QuantizedMatrix nearest = run(rtn, scheme),
                            fitted = run(hqq, scheme, 2, {{"p", p}, {"fit_scale", true}});
      EXPECT_LT(norm(fitted, nearest, p), norm(nearest, nearest, p)) << scheme.format->name
                                                                     << (scheme.minima      ? " minima"
                                                                         : scheme.symmetric ? ""
                                                                                            : " zero-points")
                                                                     << " p " << p;
    }
}

// As the paper has it: the scale stays, the zero-point moves by less than an integer.
TEST(Hqq, FitsRealZeroPointsAlone) {
  const WeightScheme scheme = fitted_schemes().front();
  const QuantizedMatrix nearest = run(rtn, scheme), fitted = run(hqq, scheme);
  EXPECT_EQ(base::sha256_hex(fitted.scales.codes.bytes()), base::sha256_hex(nearest.scales.codes.bytes()));
  EXPECT_NE(base::sha256_hex(fitted.minima.codes.bytes()), base::sha256_hex(nearest.minima.codes.bytes()));
  EXPECT_LT(norm(fitted, nearest, 0.7), norm(nearest, nearest, 0.7));
  bool fractions = false;
  for (int64_t block = 0; block < fitted.blocks(); ++block)
    fractions |= std::fabs(zero_of(fitted, block) - std::nearbyint(zero_of(fitted, block))) > 0.1f;
  EXPECT_TRUE(fractions);
}

TEST(Hqq, DoesNotDependOnThreads) {
  for (const WeightScheme& scheme : fitted_schemes()) {
    const QuantizedMatrix one = run(hqq, scheme, 1), three = run(hqq, scheme, 3);
    EXPECT_EQ(base::sha256_hex(one.codes.bytes()), base::sha256_hex(three.codes.bytes()));
    EXPECT_EQ(base::sha256_hex(one.scales.codes.bytes()), base::sha256_hex(three.scales.codes.bytes()));
    EXPECT_EQ(one.zero_points, three.zero_points);
    EXPECT_EQ(base::sha256_hex(one.minima.codes.bytes()), base::sha256_hex(three.minima.codes.bytes()));
  }
}

TEST(Hqq, ConstantBlocksStayFinite) {
  base::ThreadPool pool(1);
  for (const WeightScheme& scheme : fitted_schemes())
    for (const float value : {0.0f, 1e-30f, 0.5f, -1e30f}) {
      const std::vector<float> w(2 * 64, value);
      const QuantizedMatrix m = hqq.quantize(w, 2, 64, scheme, {.settings = default_settings(hqq)}, pool);
      std::vector<float> found(w.size());
      tensor::dequantize(m, 0, 2, found.data());
      for (const float v : found)
        EXPECT_NEAR(v, value, std::fabs(value) * 0.01f + 1e-20f) << scheme.format->name;
    }
}

TEST(Hqq, RefusesScalesThatCannotBeFitted) {
  const WeightScheme mx = numeric::find_scheme("MXFP4A16")->weights,
                     nf4 = numeric::find_scheme("NF4")->weights;
  for (const WeightScheme& scheme : {mx, nf4}) try {
      run(hqq, scheme);
      ADD_FAILURE() << scheme.format->name;
    } catch (const base::BadUsage& e) {
      EXPECT_NE(std::string(e.what()).find("hqq fits scales of 16 or 32 bits"), std::string::npos)
          << e.what();
    }
}

}  // namespace
}  // namespace aquatint::quant
