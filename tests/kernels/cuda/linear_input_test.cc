// The kernel that rounds tokens against kernels/input_rounding.h, bit by bit.
#include "kernels/cuda/linear_input.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "cases/linear_cases.h"
#include "kernels/cuda/linear_plan.h"
#include "kernels/cuda/linear_rule.h"
#include "kernels/input_rounding.h"

namespace aquatint::kernels::cuda {
namespace {

using numeric::ActivationScheme;
using numeric::Granularity;

std::vector<ActivationScheme> input_schemes() {
  using namespace numeric;
  std::vector<ActivationScheme> schemes = {{}};
  for (const Format* format : {&int8, &int6, &int4, &fp8_e4m3, &fp8_e5m2, &fp6_e3m2, &fp6_e2m3, &fp4_e2m1}) {
    schemes.push_back({format, Granularity::token});
    schemes.push_back({format, Granularity::tensor, false, 0.013f});
    if (format->kind == Kind::integer) continue;
    for (const int group : {8, 16, 24, 32, 128, 1024}) {
      schemes.push_back({format, Granularity::group, true, 0, group});
      schemes.push_back({format, Granularity::group, true, 0, group, &e8m0});
      schemes.push_back({format, Granularity::group, true, 700, group, &fp8_e4m3});
    }
  }
  ActivationScheme outliers = {&int8, Granularity::token};
  outliers.outlier_threshold = 2;
  schemes.push_back(outliers);
  return schemes;
}

// Rows of ordinary, large, small and equal numbers, zeros, ties.
std::vector<float> tokens(int64_t count, int64_t cols) {
  std::vector<float> x = cases::random_floats(count * cols, 5);
  for (int64_t i = 0; i < count * cols; ++i) {
    float& v = x[static_cast<size_t>(i)];
    const int64_t row = i / cols;
    if (row == 1) v = 0;
    if (row == 2) v *= 1e20f;
    if (row == 3) v *= 1e-30f;
    if (row == 4) v = static_cast<float>(i % 256 - 128) / 2;
    if (row == 5 && i % 3 != 0) v = 0;
  }
  return x;
}

// What a token's values should be and are, in any order.
struct Rounded {
  std::vector<float> values, outliers, scales, sums, totals, steps;
};

Rounded run(const InputRule& rule, const std::vector<float>& x, int64_t count, int64_t cols, int64_t depth) {
  Rounded r;
  const auto size = static_cast<size_t>(count * depth);
  r.values.resize(size);
  r.outliers.resize(size);
  r.scales.resize(static_cast<size_t>(count));
  r.sums.resize(size / 16);
  r.steps.resize(size / 64);
  r.totals.resize(static_cast<size_t>(count));
  std::vector<float> outlier_sums(r.sums.size()), outlier_totals(r.totals.size());
  round_inputs(rule, {{x.data()},
                      count,
                      cols,
                      depth,
                      InputOrder::fp32,
                      r.values.data(),
                      r.outliers.data(),
                      r.scales.data(),
                      r.sums.data(),
                      r.totals.data(),
                      rule.blocks ? r.steps.data() : nullptr,
                      outlier_sums.data(),
                      outlier_totals.data()});
  return r;
}

TEST(LinearInput, RoundsAsTheRulesSay) {
  constexpr int64_t kTokens = 6;
  for (const ActivationScheme& scheme : input_schemes())
    for (const Precision precision : {Precision::bf16, Precision::fp32})
      for (const int64_t cols : {1, 63, 128, 301, 4224}) {
        if (cols > 1000 && scheme.format && scheme.format->bits > 4) continue;
        const int64_t depth = (cols + 63) / 64 * 64;
        const std::vector<float> x = tokens(kTokens, cols);
        const Rounded got = run(input_rule(scheme, precision, false), x, kTokens, cols, depth);
        for (int64_t t = 0; t < kTokens; ++t) {
          std::vector<float> want(static_cast<size_t>(cols));
          const float* row = x.data() + t * cols;
          const float scale = round_input(scheme, precision, row, cols, want.data());
          const bool scaled = scheme.format && (!scheme.dynamic || scheme.granularity == Granularity::token);
          if (scaled) {
            ASSERT_EQ(got.scales[static_cast<size_t>(t)], scale);
          }
          for (int64_t c = 0; c < depth; ++c) {
            const auto at = static_cast<size_t>(t * depth + c);
            const float value = c < cols ? want[static_cast<size_t>(c)] : 0;
            ASSERT_EQ(got.values[at], value)
                << (scheme.format ? scheme.format->name : "none") << " group " << scheme.group << " of "
                << (scheme.scale_format ? scheme.scale_format->name : "") << ", token " << t << ", column "
                << c << " of " << cols << ": " << row[c];
            if (scheme.outlier_threshold > 0) {
              ASSERT_EQ(got.outliers[at], c < cols ? outlier_of(scheme, precision, row[c]) : 0);
            }
          }
        }
      }
}

TEST(LinearInput, BlocksAndSums) {
  constexpr int64_t kTokens = 6, kCols = 301, kDepth = 320;
  const std::vector<float> x = tokens(kTokens, kCols);
  const Rounded got = run(input_rule({}, Precision::int8, true), x, kTokens, kCols, kDepth);
  for (int64_t t = 0; t < kTokens; ++t) {
    std::vector<float> rounded(kCols), want(kCols);
    round_input({}, Precision::int8, x.data() + t * kCols, kCols, rounded.data());
    round_blocks(rounded.data(), kCols, want.data());
    double total = 0;
    for (int64_t c = 0; c < kCols; ++c) {
      const float code = got.values[static_cast<size_t>(t * kDepth + c)],
                  step = got.steps[static_cast<size_t>((t * kDepth + c) / 64)];
      EXPECT_EQ(code * step, want[static_cast<size_t>(c)]);
      total += double{code} * double{step};
    }
    EXPECT_NEAR(got.totals[static_cast<size_t>(t)], total, 1e-5 * (1 + std::fabs(total)) + 1e15 * (t == 2));
    for (int64_t piece = 0; piece < kDepth / 16; ++piece) {
      float sum = 0;
      for (int64_t i = 0; i < 16; ++i) sum += got.values[static_cast<size_t>(t * kDepth + piece * 16 + i)];
      EXPECT_EQ(got.sums[static_cast<size_t>(t * kDepth / 16 + piece)], sum);
    }
  }
}

TEST(LinearInput, OrdersHoldTheSameValues) {
  constexpr int64_t kTokens = 6, kCols = 130, kDepth = 192;
  const std::vector<float> x = tokens(kTokens, kCols);
  const InputRule rule = input_rule({}, Precision::bf16, false);
  const Rounded want = run(rule, x, kTokens, kCols, kDepth);
  std::vector<float> scales(kTokens);
  for (const InputOrder order : {InputOrder::steps, InputOrder::bf16}) {
    std::vector<uint16_t> values(kTokens * kDepth);
    Inputs in{{x.data()}, kTokens, kCols, kDepth, order, values.data()};
    in.scales = scales.data();
    round_inputs(rule, in);
    for (int64_t t = 0; t < kTokens; ++t)
      for (int64_t c = 0; c < kDepth; ++c) {
        const int64_t at = order == InputOrder::bf16
                               ? t * kDepth + c
                               : (c / 64 * kTokens + t) * 64 + input_place(static_cast<int>(c % 64));
        EXPECT_EQ(numeric::bf16_to_float(values[static_cast<size_t>(at)]),
                  want.values[static_cast<size_t>(t * kDepth + c)]);
      }
  }
}

}  // namespace
}  // namespace aquatint::kernels::cuda
