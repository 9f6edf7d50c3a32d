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

constexpr int64_t kLearnedRows = 40, kLearnedCols = 128;

// Columns that hang together.
std::vector<float> tokens() {
  std::vector<float> x = random_values(400 * kLearnedCols, 1);
  for (size_t i = 1; i < x.size(); ++i)
    if (i % kLearnedCols != 0) x[i] += 0.8f * x[i - 1];
  return x;
}

struct LearnedLinear : CalibratedLinear {
  explicit LearnedLinear(int threads = 2)
      : CalibratedLinear(threads, kLearnedRows, kLearnedCols, random_values(kLearnedRows * kLearnedCols, 2),
                         tokens()) {}

  QuantizedMatrix run(const Method& method, const WeightScheme& scheme, int steps = 200) {
    return CalibratedLinear::run(method, scheme, Clip::mse, {{"steps", steps}});
  }
  // Of one row, relative to the row's output.
  double error(const QuantizedMatrix& m, int64_t row) {
    std::vector<float> values(static_cast<size_t>(kLearnedCols));
    tensor::dequantize(m, row, row + 1, values.data());
    const std::vector<float> exact(w.begin() + row * kLearnedCols, w.begin() + (row + 1) * kLearnedCols);
    for (size_t i = 0; i < values.size(); ++i) values[i] -= exact[i];
    return inputs.output_error(values) / inputs.output_error(exact);
  }
  double error(const QuantizedMatrix& m) {
    double sum = 0;
    for (int64_t row = 0; row < kLearnedRows; ++row) sum += error(m, row);
    return sum;
  }
};

std::vector<WeightScheme> learned_schemes() {
  return {{&numeric::int4, Granularity::group, 32, true, &numeric::bf16},
          {&numeric::int4, Granularity::group, 64, false, &numeric::bf16},
          {&numeric::int3, Granularity::group, 32, false, &numeric::bf16, false, true},
          {&numeric::int2, Granularity::group, 32, true, &numeric::bf16},
          {&numeric::int8, Granularity::channel, 0, true, &numeric::fp32}};
}

TEST(Signround, NoRowIsWorseThanRoundingToNearest) {
  LearnedLinear f;
  for (const WeightScheme& scheme : learned_schemes()) {
    const QuantizedMatrix nearest = f.run(rtn, scheme), learned = f.run(signround, scheme);
    for (int64_t row = 0; row < kLearnedRows; ++row)
      EXPECT_LE(f.error(learned, row), f.error(nearest, row) * 1.0001) << scheme.format->name << " " << row;
    EXPECT_LT(f.error(learned), 0.75 * f.error(nearest)) << scheme.format->name;
    EXPECT_EQ(learned.stored_bytes, nearest.stored_bytes);
  }
}

TEST(Signround, OffsetsMoveAWeightByAtMostOneCode) {
  LearnedLinear f;
  const WeightScheme scheme = learned_schemes().front();
  const QuantizedMatrix m = f.run(signround, scheme);
  std::vector<float> values(f.w.size());
  tensor::dequantize(m, 0, kLearnedRows, values.data());
  for (int64_t i = 0; i < kLearnedRows * kLearnedCols; ++i) {
    const float scale = m.scales.at(m.block_of(i / kLearnedCols, i % kLearnedCols)),
                weight = f.w[static_cast<size_t>(i)] / scale;
    if (std::fabs(weight) > 7) continue;  // may be clipped
    EXPECT_LE(std::fabs(values[static_cast<size_t>(i)] / scale - weight), 1.001f);
  }
}

TEST(Signround, DoesNotDependOnThreads) {
  LearnedLinear one(1), two(2);
  for (const WeightScheme& scheme : learned_schemes()) {
    const QuantizedMatrix a = one.run(signround, scheme, 20), b = two.run(signround, scheme, 20);
    EXPECT_EQ(base::sha256_hex(a.codes.bytes()), base::sha256_hex(b.codes.bytes()));
    EXPECT_EQ(base::sha256_hex(a.scales.codes.bytes()), base::sha256_hex(b.scales.codes.bytes()));
  }
}

TEST(Signround, RefusesFloats) {
  LearnedLinear f;
  try {
    f.run(signround, {&numeric::fp4_e2m1, Granularity::group, 32, true, &numeric::bf16});
    FAIL();
  } catch (const base::BadUsage& e) {
    EXPECT_NE(std::string(e.what()).find("not fp4_e2m1 weights; take rtn or gptq"), std::string::npos)
        << e.what();
  }
}

}  // namespace
}  // namespace aquatint::quant
