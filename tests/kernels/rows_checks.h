// What holds for operations on rows of every kernel set. Included once by each binary of tests, which says on
// which sets.
#pragma once
#include <gtest/gtest.h>

#include <cstring>

#include "cases/linear_cases.h"
#include "kernels/guarded.h"
#include "kernels/ref/ref.h"

namespace aquatint::kernels {
namespace {

constexpr double kEps = 0x1p-24;
constexpr int64_t kWidths[] = {1, 2, 3, 15, 16, 17, 31, 33, 64, 65, 100, 576};

class Rows : public testing::TestWithParam<const KernelSet*> {
 protected:
  const KernelSet& set_ = *GetParam();
  base::ThreadPool pool_{2};
};

// A sum of n squares and one square root and division: (n + 8) roundings, halved by the root.
TEST_P(Rows, RmsNorm) {
  for (const int64_t cols : kWidths) {
    constexpr int64_t kRows = 5;
    const std::vector<float> x = cases::random_floats(kRows * cols + 1, 1),
                             weight = cases::random_floats(cols, 2);
    Guarded y(kRows * cols, 3);
    std::vector<float> want(kRows * static_cast<size_t>(cols));
    set_.rms_norm(x.data() + 1, weight.data(), 1e-5f, kRows, cols, y.data(), pool_);
    ref::rms_norm(x.data() + 1, weight.data(), 1e-5f, kRows, cols, want.data(), pool_);
    y.expect_intact();
    Worst worst;
    for (int64_t i = 0; i < kRows * cols; ++i) {
      const double value = want[static_cast<size_t>(i)];
      worst.see(i, y[i], value, std::fabs(value) * kEps * static_cast<double>(cols + 16) / 2 + 1e-37);
    }
    worst.expect_within(fmt::format("{} rms_norm {}", set_.name, cols));
  }
}

TEST_P(Rows, RmsNormInPlaceAndOfZeros) {
  std::vector<float> x = cases::random_floats(2 * 100, 1), weight(100, 1.0f), want(200);
  std::fill_n(x.begin(), 100, 0.0f);
  set_.rms_norm(x.data(), weight.data(), 1e-5f, 2, 100, want.data(), pool_);
  set_.rms_norm(x.data(), weight.data(), 1e-5f, 2, 100, x.data(), pool_);
  EXPECT_EQ(x, want);
  EXPECT_EQ(x[0], 0.0f);
}

TEST_P(Rows, RmsNormOfRunsIsThatOfEach) {
  constexpr int64_t kRows = 3, kRuns = 4, kWidth = 20, kStride = kRuns * kWidth + 7;
  const std::vector<float> weight = cases::random_floats(kWidth, 2);
  std::vector<float> x = cases::random_floats(kRows * kStride, 1), want = x;
  for (int64_t row = 0; row < kRows; ++row) {
    float* runs = want.data() + row * kStride + 3;
    set_.rms_norm(runs, weight.data(), 1e-5f, kRuns, kWidth, runs, pool_);
  }
  set_.rms_norm_runs(x.data() + 3, weight.data(), 1e-5f, kRows, kStride, kRuns, kWidth, pool_);
  EXPECT_EQ(x, want);
}

// cos and sin in FP32 (1 ulp each), two products and a sum.
TEST_P(Rows, Rope) {
  for (const int64_t dim : {2, 6, 32, 64, 80, 128}) {
    constexpr int64_t kRows = 7, kHeads = 3;
    const int64_t stride = kHeads * dim + 5;
    const std::vector<float> x = cases::random_floats(kRows * stride, 3);
    std::vector<float> inv_freq;
    for (int64_t i = 0; i < dim / 2; ++i)
      inv_freq.push_back(
          static_cast<float>(std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(dim))));
    const std::vector<int32_t> positions = {0, 1, 2, 100, 2047, 8191, 131071};
    Guarded y(kRows * stride, 1);
    std::copy(x.begin(), x.end(), y.data());
    std::vector<float> want = x;
    set_.rope(y.data(), kRows, stride, kHeads, dim, positions.data(), inv_freq.data(), 1.25f, pool_);
    ref::rope(want.data(), kRows, stride, kHeads, dim, positions.data(), inv_freq.data(), 1.25f, pool_);
    y.expect_intact();
    Worst worst;
    for (int64_t i = 0; i < kRows * stride; ++i) {
      const int64_t in_row = i % stride, half = dim / 2;
      const bool rotated = in_row < kHeads * dim;
      const int64_t partner = !rotated ? i : in_row % dim < half ? i + half : i - half;
      const double size = std::fabs(x[static_cast<size_t>(i)]) + std::fabs(x[static_cast<size_t>(partner)]);
      worst.see(i, y[i], want[static_cast<size_t>(i)], rotated ? 1.25 * size * 5 * kEps : 1e-45);
    }
    worst.expect_within(fmt::format("{} rope {}", set_.name, dim));
  }
}

// A value is a sum of `width` others, log2(run) + order of them one after the other.
TEST_P(Rows, RotateRuns) {
  for (const int64_t width : {1, 2, 8, 10, 12, 16, 26, 64, 80, 96, 128, 576, 1536}) {
    constexpr int64_t kRows = 3, kRuns = 2;
    const int64_t stride = kRuns * width + 3;
    const tensor::Rotation r(width, 7);
    const std::vector<float> x = cases::random_floats(kRows * stride, 3);
    for (const bool inverse : {false, true}) {
      Guarded y(kRows * stride, 1);
      std::copy(x.begin(), x.end(), y.data());
      std::vector<float> want = x;
      set_.rotate_runs(r, inverse, y.data(), kRows, stride, kRuns, pool_);
      ref::rotate_runs(r, inverse, want.data(), kRows, stride, kRuns, pool_);
      y.expect_intact();
      Worst worst;
      for (int64_t i = 0; i < kRows * stride; ++i) {
        const int64_t run = i % stride / width;
        double size = 0;
        for (int64_t j = 0; run < kRuns && j < width; ++j)
          size += std::fabs(x[static_cast<size_t>(i / stride * stride + run * width + j)]);
        const double roundings = std::log2(static_cast<double>(r.run())) + static_cast<double>(r.order()) + 2;
        worst.see(i, y[i], want[static_cast<size_t>(i)], 1.5 * roundings * kEps * size * r.scale() + 1e-45);
      }
      worst.expect_within(fmt::format("{} rotate_runs {}", set_.name, width));
    }
  }
}

// Sums and differences alone, in one order.
TEST_P(Rows, RotateRunsByHadamardMatricesHasTheBitsOfTheScalarSet) {
  if (set_.name == "ref") return;
  for (const int64_t width : {8, 64, 80, 96, 576, 1536}) {
    const tensor::Rotation r(width, 3);
    std::vector<float> x = cases::random_floats(width, 5), y = x;
    kernel_set("scalar").rotate_runs(r, false, x.data(), 1, width, 1, pool_);
    set_.rotate_runs(r, false, y.data(), 1, width, 1, pool_);
    EXPECT_EQ(x, y) << width;
  }
}

// The lengths of rows stay and the inverse gives them back, within the same roundings, twice.
TEST_P(Rows, RotateRunsIsOrthogonal) {
  for (const int64_t width : {64, 80, 96, 112, 176, 208, 576, 1536}) {
    const tensor::Rotation r(width, 3);
    const std::vector<float> x = cases::random_floats(width, 5);
    std::vector<float> y = x;
    const auto length = [](const std::vector<float>& v) {
      double squares = 0;
      for (const float value : v) squares += double{value} * double{value};
      return std::sqrt(squares);
    };
    const double roundings = std::log2(static_cast<double>(r.run())) + static_cast<double>(r.order()) + 2;
    set_.rotate_runs(r, false, y.data(), 1, width, 1, pool_);
    EXPECT_NEAR(length(y), length(x), length(x) * roundings * kEps) << width;
    EXPECT_NE(y, x);
    set_.rotate_runs(r, true, y.data(), 1, width, 1, pool_);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(y[i], x[i], 2 * roundings * kEps * length(x)) << width;
  }
}

// The exponential's 2 ulp, a sum, a division, a product.
TEST_P(Rows, Swiglu) {
  for (const int64_t cols : kWidths) {
    constexpr int64_t kRows = 6;
    std::vector<float> x = cases::random_floats(kRows * 2 * cols, 4, 8.0);
    x[0] = -300.0f;
    if (cols > 3) x[1] = 300.0f, x[2] = -80.0f, x[3] = 0.0f;
    Guarded y(kRows * cols, 2);
    std::vector<float> want(static_cast<size_t>(kRows * cols));
    set_.swiglu(x.data(), kRows, cols, y.data(), pool_);
    ref::swiglu(x.data(), kRows, cols, want.data(), pool_);
    y.expect_intact();
    Worst worst;
    for (int64_t i = 0; i < kRows * cols; ++i) {
      const double value = want[static_cast<size_t>(i)];
      worst.see(i, y[i], value, std::fabs(value) * 8 * kEps + 1e-33);
    }
    worst.expect_within(fmt::format("{} swiglu {}", set_.name, cols));
  }
}

// Sums of exponentials whose relative errors stay below 1e-12.
TEST_P(Rows, LogitStatsAndDivergence) {
  for (const int64_t cols : {1, 2, 15, 16, 17, 100, 1024, 1025, 5000}) {
    constexpr int64_t kRows = 4;
    std::vector<float> a = cases::random_floats(kRows * cols, 5, 6.0),
                       b = cases::random_floats(kRows * cols, 6, 0.1);
    for (size_t i = 0; i < a.size(); ++i) b[i] += a[i];
    std::copy_n(a.begin(), cols, b.begin());  // the first row's distributions are equal
    std::vector<LogitStats> got(kRows), want(kRows);
    std::vector<Divergence> got_d(kRows), want_d(kRows);
    set_.logit_stats(a.data(), kRows, cols, got.data(), pool_);
    ref::logit_stats(a.data(), kRows, cols, want.data(), pool_);
    set_.divergence(a.data(), b.data(), kRows, cols, got_d.data(), pool_);
    ref::divergence(a.data(), b.data(), kRows, cols, want_d.data(), pool_);
    for (size_t r = 0; r < kRows; ++r) {
      EXPECT_NEAR(got[r].log_sum_exp, want[r].log_sum_exp, 1e-11) << set_.name << " " << cols;
      EXPECT_EQ(got[r].top, want[r].top);
      EXPECT_NEAR(got_d[r].kl, want_d[r].kl, 1e-11) << set_.name << " " << cols;
      EXPECT_EQ(got_d[r].reference.log_sum_exp, got[r].log_sum_exp);
      EXPECT_EQ(got_d[r].model.top, want_d[r].model.top);
      EXPECT_NEAR(got_d[r].model.log_sum_exp, want_d[r].model.log_sum_exp, 1e-11);
    }
    EXPECT_NEAR(got_d[0].kl, 0, 1e-12);
  }
}

TEST_P(Rows, TheLowestIndexWinsTies) {
  std::vector<float> x(3000, -1.0f);
  LogitStats stats;
  for (const size_t first : {0u, 5u, 1023u, 1024u, 2995u, 2999u}) {
    std::fill(x.begin(), x.end(), -1.0f);
    x[first] = 2.0f;
    x[2999] = 2.0f;
    set_.logit_stats(x.data(), 1, 3000, &stats, pool_);
    EXPECT_EQ(stats.top, static_cast<int32_t>(first));
  }
}

std::string set_name(const testing::TestParamInfo<const KernelSet*>& info) {
  return std::string(info.param->name);
}

}  // namespace
}  // namespace aquatint::kernels
