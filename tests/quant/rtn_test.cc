#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/hash.h"
#include "base/rng.h"
#include "quant/method.h"
#include "quant/methods/double_quantization.h"
#include "quant/methods/grids.h"

namespace aquatint::quant {
namespace {

using numeric::Granularity;
using numeric::WeightScheme;
using tensor::QuantizedMatrix;

std::vector<float> random_weights(int64_t n, uint64_t seed) {
  base::Rng rng(seed);
  std::vector<float> weights(static_cast<size_t>(n));
  for (float& w : weights) w = static_cast<float>(rng.normal() * (rng.below(40) == 0 ? 0.2 : 0.05));
  return weights;
}

QuantizedMatrix quantize(const std::vector<float>& w, int64_t rows, const WeightScheme& scheme, Clip clip,
                         int threads = 2, std::span<const float> importance = {}) {
  base::ThreadPool pool(threads);
  return rtn.quantize(w, rows, static_cast<int64_t>(w.size()) / rows, scheme, {clip, importance}, pool);
}

std::vector<float> values_of(const QuantizedMatrix& m) {
  std::vector<float> values(static_cast<size_t>(m.rows * m.cols));
  tensor::dequantize(m, 0, m.rows, values.data());
  return values;
}

// What the search minimises when the importance of the columns is unknown.
double fourth_powers(const QuantizedMatrix& m, const std::vector<float>& w) {
  const std::vector<float> values = values_of(m);
  double sum = 0;
  for (size_t i = 0; i < w.size(); ++i) sum += std::pow(double{w[i]} - double{values[i]}, 4);
  return sum;
}

// The presets' weights, with groups that fit the small matrices here, and formats that presets do not use
// yet.
std::vector<WeightScheme> weight_schemes() {
  std::vector<WeightScheme> result;
  for (const numeric::Scheme& scheme : numeric::schemes()) {
    result.push_back(scheme.weights);
    const Granularity granularity = scheme.weights.granularity;
    if (granularity == Granularity::block) result.back().group = 4;
    if (granularity == Granularity::group && !scheme.weights.fixed_group()) result.back().group = 32;
  }
  result.push_back({&numeric::fp6_e2m3, Granularity::group, 32, true, &numeric::fp16});
  result.push_back({&numeric::fp4_e2m1, Granularity::group, 16, true, &numeric::bf16});
  result.push_back({&numeric::int3, Granularity::group, 32, true, &numeric::fp16});
  result.push_back({&numeric::int2, Granularity::group, 32, true, &numeric::bf16});
  result.push_back({&numeric::fp8_e5m2, Granularity::channel, 0, true, &numeric::fp32});
  return result;
}

TEST(Grids, ChooseTheCodeOfTheFormat) {
  base::Rng rng(3);
  for (const numeric::Format* format : numeric::formats()) {
    if (format->bits > 8 || format->max > 1e6f || format->kind == numeric::Kind::integer) continue;
    for (int trial = 0; trial < 20000; ++trial) {
      // Half of the trials stand on midpoints, where ties are decided.
      const auto table = format->table();
      const float a = table[rng.below(table.size())], b = table[rng.below(table.size())];
      float x = trial % 2 ? static_cast<float>(rng.normal() * format->max / 3) : (a + b) * 0.5f;
      if (std::isnan(x) || std::isinf(x)) continue;
      Lanes nearest;
      const uint32_t mask = (1u << format->bits) - 1;
      uint8_t code;
      if (format->kind == numeric::Kind::codebook) {
        const TableGrid grid(*format);
        grid.nearest(Lanes{x, x, x, x}, nearest);
        code = grid.code(nearest[1], mask);
      } else {
        const FloatGrid grid(*format);
        grid.nearest(Lanes{x, x, x, x}, nearest);
        code = grid.code(nearest[1], mask);
      }
      ASSERT_EQ(int{code}, static_cast<int>(format->encode(x))) << format->name << " " << x;
      ASSERT_EQ(nearest[2], format->decode(format->encode(x))) << format->name << " " << x;
    }
  }
}

TEST(Rtn, CodesAreNearestForTheStoredScales) {
  const int64_t rows = 7, cols = 160;  // 160 = 2.5 · 64: blocks of the flattened tensor cross rows
  const std::vector<float> w = random_weights(rows * cols, 1);
  for (const WeightScheme& scheme : weight_schemes()) {
    for (const Clip clip : {Clip::none, Clip::mse}) {
      if (scheme.double_quantized && clip == Clip::none) continue;  // see MatchesBitsandbytes
      const QuantizedMatrix m = quantize(w, rows, scheme, clip);
      const std::vector<float> values = values_of(m);
      for (int64_t i = 0; i < rows * cols; ++i) {
        const int64_t block = m.block_of(i / cols, i % cols);
        const float zero = zero_of(m, block);
        const float x = w[static_cast<size_t>(i)], scale = m.scales.at(block);
        double best = INFINITY;
        for (const float value : scheme.format->table())
          if (std::isfinite(value))
            best = std::min(best, std::fabs(double{x} - (double{value} - zero) * scale));
        const double found = std::fabs(double{x} - values[static_cast<size_t>(i)]);
        // One rounding each in x / scale, in the sum with the zero-point and in the product.
        ASSERT_LE(found, best + 3e-7 * (double{std::fabs(x)} + std::fabs(double{zero} * scale)))
            << scheme.format->name << " " << i;
      }
    }
  }
}

TEST(Rtn, SearchedScalesAreNeverWorse) {
  const int64_t rows = 9, cols = 192;
  const std::vector<float> w = random_weights(rows * cols, 2);
  for (const WeightScheme& scheme : weight_schemes()) {
    const double none = fourth_powers(quantize(w, rows, scheme, Clip::none), w);
    const double mse = fourth_powers(quantize(w, rows, scheme, Clip::mse), w);
    EXPECT_LE(mse, none * 1.000001) << scheme.format->name;  // the same scale may be the best
    if (scheme.format == &numeric::int4 && scheme.symmetric) {
      EXPECT_LT(mse, 0.6 * none);
    }
  }
}

TEST(Rtn, DoesNotDependOnThreads) {
  const int64_t rows = 33, cols = 320;
  const std::vector<float> w = random_weights(rows * cols, 4);
  for (const WeightScheme& scheme : weight_schemes()) {
    const QuantizedMatrix one = quantize(w, rows, scheme, Clip::mse, 1),
                          three = quantize(w, rows, scheme, Clip::mse, 3);
    EXPECT_EQ(base::sha256_hex(one.codes.bytes()), base::sha256_hex(three.codes.bytes()));
    EXPECT_EQ(base::sha256_hex(one.scales.codes.bytes()), base::sha256_hex(three.scales.codes.bytes()));
    EXPECT_EQ(one.zero_points, three.zero_points);
  }
}

TEST(Rtn, UnsearchedErrorsAreWithinHalfAStep) {
  const int64_t rows = 5, cols = 128;
  const std::vector<float> w = random_weights(rows * cols, 5);
  const WeightScheme int8 = {&numeric::int8, Granularity::channel, 0, true, &numeric::fp32};
  const QuantizedMatrix m = quantize(w, rows, int8, Clip::none);
  const std::vector<float> values = values_of(m);
  for (int64_t i = 0; i < rows * cols; ++i)
    EXPECT_LE(std::fabs(w[static_cast<size_t>(i)] - values[static_cast<size_t>(i)]),
              m.scales.at(i / cols) * 0.50001f);
  EXPECT_EQ(m.stored_bytes, static_cast<uint64_t>(rows * cols + rows * 4));
}

TEST(Rtn, AsymmetricKeepsZeroExact) {
  std::vector<float> w = random_weights(64, 6);
  for (size_t i = 0; i < w.size(); ++i) w[i] = i % 8 == 0 ? 0.0f : std::fabs(w[i]) + 0.5f;  // all on one side
  const WeightScheme scheme = {&numeric::int4, Granularity::group, 32, false, &numeric::bf16};
  for (const Clip clip : {Clip::none, Clip::mse}) {
    const std::vector<float> values = values_of(quantize(w, 2, scheme, clip));
    for (size_t i = 0; i < w.size(); i += 8) EXPECT_EQ(values[i], 0.0f);
  }
}

TEST(Rtn, ZerosAndExtremesStayFinite) {
  for (const WeightScheme& scheme : weight_schemes()) {
    // Under a power of two the largest value is rounded like any other.
    const float slack = scheme.scale_format == &numeric::e8m0 ? 1.07f : 1.01f;
    for (const float size : {0.0f, 1e-40f, 1e-30f, 1e30f}) {
      std::vector<float> w(128, 0.0f);
      w[5] = size;
      w[70] = -size;
      for (const Clip clip : {Clip::none, Clip::mse}) {
        const std::vector<float> values = values_of(quantize(w, 2, scheme, clip));
        for (const float value : values) {
          EXPECT_TRUE(std::isfinite(value)) << scheme.format->name << " " << size;
          EXPECT_LE(std::fabs(value), std::max(size * slack, 1e-3f)) << scheme.format->name << " " << size;
        }
      }
    }
  }
}

TEST(Rtn, ImportanceMovesTheErrorElsewhere) {
  const std::vector<float> w = random_weights(8 * 64, 7);
  const WeightScheme scheme = {&numeric::int4, Granularity::group, 64, true, &numeric::bf16};
  std::vector<float> importance(64, 1.0f);
  importance[3] = 1e4f;
  const auto column_error = [&](const QuantizedMatrix& m) {
    const std::vector<float> values = values_of(m);
    double sum = 0;
    for (size_t row = 0; row < 8; ++row) sum += std::pow(double{w[row * 64 + 3]} - values[row * 64 + 3], 2);
    return sum;
  };
  EXPECT_LT(column_error(quantize(w, 8, scheme, Clip::mse, 2, importance)),
            0.5 * column_error(quantize(w, 8, scheme, Clip::mse)));
}

// quantize_4bit of bitsandbytes written out: codes from the unrounded absmax, absmax in 8 bits around its
// mean.
TEST(Rtn, MatchesBitsandbytes) {
  const int64_t rows = 6, cols = 96;
  const std::vector<float> w = random_weights(rows * cols, 8);
  for (const numeric::Format* format : {&numeric::nf4, &numeric::bnb_fp4}) {
    const WeightScheme scheme = {format, Granularity::flat, 64, true, &numeric::fp32, true};
    const QuantizedMatrix m = quantize(w, rows, scheme, Clip::none);
    double mean = 0;
    for (size_t block = 0; block < 9; ++block) {
      float absmax = 0;
      for (size_t i = 0; i < 64; ++i) absmax = std::max(absmax, std::fabs(w[block * 64 + i]));
      mean += absmax / 9.0;
      for (size_t i = block * 64; i < block * 64 + 64; ++i)
        EXPECT_EQ(int{m.codes.u8()[i]}, static_cast<int>(format->encode(w[i] * (1.0f / absmax)))) << i;
      // Neighbours in the dynamic map lie at most 0.0141 apart near ±1, so half of it times the run's largest
      // deviation.
      EXPECT_NEAR(m.scales.at(static_cast<int64_t>(block)), absmax,
                  0.0072f * base::load<float>(m.scales.super.u8()));
    }
    EXPECT_NEAR(m.scales.offset, mean, 1e-7);
    EXPECT_EQ(m.stored_bytes, static_cast<uint64_t>(rows * cols / 2 + 9 + 4));
  }
}

// SHA-256 of torch.Tensor(bitsandbytes.functional.create_dynamic_map()) as 256 little-endian FP32.
TEST(DoubleQuantization, MapIsThatOfBitsandbytes) {
  const auto& map = dynamic_map();
  EXPECT_EQ(base::sha256_hex(std::as_bytes(std::span(map))),
            "e732639a65f497b4ad684bb166a4467708255edd5207757de8b8f0c7e1fda89c");
}

TEST(Methods, AreFoundByName) {
  EXPECT_EQ(make_step("rtn").method, &rtn);
  EXPECT_THROW(make_step("nearest"), base::BadUsage);
  EXPECT_EQ(parse_clip("mse"), Clip::mse);
  EXPECT_THROW(parse_clip("max"), base::BadUsage);
}

TEST(Rtn, RefusesWhatItCannotCut) {
  const WeightScheme scheme = {&numeric::int4, Granularity::group, 128, true, &numeric::bf16};
  EXPECT_THROW(quantize(std::vector<float>(2 * 96), 2, scheme, Clip::none), base::BadUsage);
}

}  // namespace
}  // namespace aquatint::quant
