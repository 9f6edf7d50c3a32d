#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/hash.h"
#include "calibrated_linear.h"
#include "quant/methods/feedback_rounding.h"

namespace aquatint::quant {
namespace {

using numeric::Granularity;
using numeric::WeightScheme;
using tensor::QuantizedMatrix;

constexpr int64_t kRows = 70, kCols = 192, kGptqTokens = 600;

// Inputs whose columns hang together, as those of a model do; some are large.
std::vector<float> correlated_inputs(int64_t tokens, int64_t cols) {
  std::vector<float> x = random_values(tokens * cols, 1);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t c = 1; c < cols; ++c)
      x[static_cast<size_t>(t * cols + c)] = 0.8f * x[static_cast<size_t>(t * cols + c - 1)] +
                                             x[static_cast<size_t>(t * cols + c)] * (c % 16 ? 0.6f : 3.0f);
  return x;
}

struct GptqLinear : CalibratedLinear {
  explicit GptqLinear(int threads = 2)
      : CalibratedLinear(threads, kRows, kCols, random_values(kRows * kCols, 2, 0.05),
                         correlated_inputs(kGptqTokens, kCols)) {}
};

WeightScheme grouped(const numeric::Format& format, int group, bool symmetric = true) {
  return {&format, Granularity::group, group, symmetric, &numeric::bf16};
}

const WeightScheme kChannel = {&numeric::int4, Granularity::channel, 0, true, &numeric::fp32};

// The algorithm as the paper has it, without blocks, in FP64: H⁻¹ by Gauss-Jordan, its upper Cholesky factor
// row by row; one scale per row, the largest weight on the largest code.
double straightforward_error(const GptqLinear& f, double damp) {
  constexpr auto n = static_cast<size_t>(kCols);
  const auto gram = f.inputs.gram();
  double mean = 0;
  for (size_t i = 0; i < n; ++i) mean += gram[i * n + i] / static_cast<double>(n);
  std::vector<double> h(gram.begin(), gram.end()), inverse(n * n);
  for (size_t i = 0; i < n; ++i) {
    h[i * n + i] += damp * mean;
    inverse[i * n + i] = 1;
  }
  for (size_t p = 0; p < n; ++p) {
    const double pivot = h[p * n + p];
    for (size_t j = 0; j < n; ++j) h[p * n + j] /= pivot, inverse[p * n + j] /= pivot;
    for (size_t i = 0; i < n; ++i) {
      const double factor = i == p ? 0 : h[i * n + p];
      for (size_t j = 0; j < n; ++j) {
        h[i * n + j] -= factor * h[p * n + j];
        inverse[i * n + j] -= factor * inverse[p * n + j];
      }
    }
  }
  std::vector<double> upper(n * n);
  for (size_t i = 0; i < n; ++i)
    for (size_t j = i; j < n; ++j) {
      double sum = inverse[i * n + j];
      for (size_t k = 0; k < i; ++k) sum -= upper[k * n + i] * upper[k * n + j];
      upper[i * n + j] = i == j ? std::sqrt(sum) : sum / upper[i * n + i];
    }
  double error = 0, total = 0;
  for (size_t row = 0; row < static_cast<size_t>(kRows); ++row) {
    std::vector<double> w(f.w.begin() + static_cast<int64_t>(row * n),
                          f.w.begin() + static_cast<int64_t>((row + 1) * n));
    const std::vector<double> original = w;
    double largest = 0;
    for (const double v : w) largest = std::max(largest, std::fabs(v));
    const double scale = static_cast<double>(static_cast<float>(largest / 7));
    std::vector<double> difference(n);
    for (size_t j = 0; j < n; ++j) {
      const double q = scale * std::clamp(std::nearbyint(w[j] / scale), -8.0, 7.0);
      difference[j] = original[j] - q;
      const double e = (w[j] - q) / upper[j * n + j];
      for (size_t k = j; k < n; ++k) w[k] -= e * upper[j * n + k];
    }
    for (size_t i = 0; i < n; ++i)
      for (size_t j = 0; j < n; ++j) {
        error += difference[i] * gram[i * n + j] * difference[j];
        total += original[i] * gram[i * n + j] * original[j];
      }
  }
  return error / total;
}

TEST(Gptq, IsAsGoodAsAStraightforwardFp64One) {
  GptqLinear f;
  for (const double damp : {0.01, 0.1}) {
    const double want = straightforward_error(f, damp);
    const double got = f.error(f.run(gptq, kChannel, Clip::none, {{"damp", damp}, {"act_order", false}}));
    EXPECT_LE(got, want * 1.001);
    EXPECT_GE(got, want * 0.999);
  }
}

TEST(Gptq, BlocksChangeNothingButRounding) {
  GptqLinear f;
  const double want = f.error(f.run(gptq, kChannel, Clip::none, {{"block", 4096}}));
  for (const int block : {16, 48, 128})
    EXPECT_NEAR(f.error(f.run(gptq, kChannel, Clip::none, {{"block", block}})), want, 1e-3 * want);
}

TEST(Gptq, StretchesChangeNothingButRounding) {
  GptqLinear f;
  for (const WeightScheme& scheme : {kChannel, grouped(numeric::int4, 48, false)})
    for (const bool act_order : {false, true}) {
      const auto rule = BlockRule::of(scheme, Clip::mse, "test");
      const auto error = [&](int64_t stretch) {
        return f.error(round_with_feedback(
            f.w, kRows, kCols, scheme, {.clip = Clip::mse, .inputs = &f.inputs},
            {.damp = 0.01, .block = 16, .act_order = act_order, .stretch = stretch}, *rule,
            [&](const Block& group, int64_t) { return rule->choose(group); }, "test", f.pool));
      };
      const double want = error(kCols);
      for (const int64_t stretch : {1, 64, 144}) EXPECT_NEAR(error(stretch), want, 1e-3 * want);
    }
}

TEST(Gptq, BeatsRoundingToNearestInEveryScheme) {
  GptqLinear f;
  std::vector<WeightScheme> schemes = {kChannel,
                                       grouped(numeric::int4, 32),
                                       grouped(numeric::int4, 64, false),
                                       grouped(numeric::int3, 96),
                                       grouped(numeric::int2, 48, false),
                                       grouped(numeric::fp4_e2m1, 64),
                                       grouped(numeric::fp8_e4m3, 192)};
  schemes.push_back({&numeric::nf4, Granularity::flat, 64, true, &numeric::fp32, true});
  for (const WeightScheme& scheme : schemes)
    for (const bool act_order : {false, true})
      EXPECT_LT(f.error(f.run(gptq, scheme, default_clip(scheme), {{"act_order", act_order}})),
                0.9 * f.error(f.run(rtn, scheme, default_clip(scheme))))
          << scheme.format->name << " " << scheme.group << (act_order ? " act_order" : "");
}

TEST(Gptq, DoesNotDependOnThreads) {
  GptqLinear one(1), three(3);
  for (const bool act_order : {false, true}) {
    const WeightScheme scheme = grouped(numeric::int4, 64, false);
    const QuantizedMatrix a = one.run(gptq, scheme, Clip::mse, {{"act_order", act_order}}),
                          b = three.run(gptq, scheme, Clip::mse, {{"act_order", act_order}});
    EXPECT_EQ(base::sha256_hex(a.codes.bytes()), base::sha256_hex(b.codes.bytes()));
    EXPECT_EQ(base::sha256_hex(a.scales.codes.bytes()), base::sha256_hex(b.scales.codes.bytes()));
    EXPECT_EQ(a.zero_points, b.zero_points);
  }
}

TEST(Gptq, DeadColumnsBecomeZero) {
  base::ThreadPool pool(1);
  std::vector<float> x = correlated_inputs(200, 32);
  for (size_t i = 5; i < x.size(); i += 32) x[i] = 0;
  const InputStatistics inputs(x, 32, "test", {&kernels::kernel_set("auto"), &pool});
  const std::vector<float> w = random_values(3 * 32, 4);
  const QuantizedMatrix m =
      gptq.quantize(w, 3, 32, kChannel, {.inputs = &inputs, .settings = default_settings(gptq)}, pool);
  std::vector<float> values(w.size());
  tensor::dequantize(m, 0, 3, values.data());
  for (size_t row = 0; row < 3; ++row) EXPECT_EQ(values[row * 32 + 5], 0.0f);
  EXPECT_NE(values[4], 0.0f);
}

TEST(InputStatistics, MeasuresColumns) {
  base::ThreadPool pool(2);
  const std::vector<float> x = {1, -2, 0, 3, 4, 0};  // two tokens of three columns
  const InputStatistics s(x, 3, "test", {&kernels::kernel_set("auto"), &pool});
  EXPECT_EQ(s.tokens(), 2);
  EXPECT_EQ(std::vector<float>(s.importance().begin(), s.importance().end()),
            (std::vector<float>{10, 20, 0}));
  EXPECT_EQ(std::vector<float>(s.mean_magnitude().begin(), s.mean_magnitude().end()),
            (std::vector<float>{2, 3, 0}));
  EXPECT_EQ(std::vector<float>(s.max_magnitude().begin(), s.max_magnitude().end()),
            (std::vector<float>{3, 4, 0}));
}

TEST(InputStatistics, NamesANaN) {
  base::ThreadPool pool(1);
  const std::vector<float> x = {1, 2, 3, NAN};
  try {
    InputStatistics(x, 2, "model.layers.3.mlp.down_proj", {&kernels::kernel_set("auto"), &pool});
    FAIL();
  } catch (const base::BadInput& e) {
    EXPECT_EQ(std::string(e.what()).substr(0, 76),
              "model.layers.3.mlp.down_proj: input 1 of calibration token 1 is nan, expecte");
  }
}

TEST(InputStatistics, RaisesTheDampingWhereTokensAreFew) {
  base::ThreadPool pool(1);
  const std::vector<float> x = random_values(4 * 64, 5);  // rank 4 of 64
  const InputStatistics s(x, 64, "test", {&kernels::kernel_set("auto"), &pool});
  EXPECT_GT(s.feedback(0, false).damping, 0);
  EXPECT_EQ(s.feedback(0.01, false).damping, 0.01);
}

}  // namespace
}  // namespace aquatint::quant
