#include "quant/methods/column_scales.h"

#include <gtest/gtest.h>

#include <cmath>

#include "calibrated_linear.h"
#include "kernels/input_rounding.h"
#include "pipeline_fixture.h"

namespace aquatint::quant {
namespace {

using model::Stage;

constexpr int64_t kTokens = 700;

// Inputs of one stage with two columns far larger than the rest.
std::vector<float> inputs_with_outliers(int64_t cols) {
  std::vector<float> x = random_values(kTokens * cols, 3);
  for (int64_t t = 0; t < kTokens; ++t)
    for (const int64_t c : {cols / 3, cols / 2}) x[static_cast<size_t>(t * cols + c)] *= 40;
  return x;
}

// What is lost of the stage's outputs, token by token and row by row, when its weights times the scales and
// its inputs over them are rounded.
double loss(BlockWeights& block, Stage stage, const std::vector<float>& x, const std::vector<float>& scales,
            base::ThreadPool& pool) {
  const size_t n = scales.size();
  std::vector<float> rounded(x.size()), divided(n);
  double lost = 0;
  for (const BlockWeights::Linear& linear : block.linears(stage)) {
    const numeric::Scheme& scheme = *linear.scheme;
    for (size_t at = 0; at < x.size(); at += n) {
      for (size_t c = 0; c < n; ++c) divided[c] = rounded[at + c] = x[at + c] / scales[c];
      if (!scheme.input.format) continue;
      const float step = kernels::round_input(scheme.input, kernels::Precision::fp32, divided.data(),
                                              static_cast<int64_t>(n), rounded.data() + at);
      for (size_t c = 0; c < n; ++c) rounded[at + c] *= step;
    }
    std::vector<float> w = linear.values;
    for (size_t i = 0; i < w.size(); ++i) w[i] *= scales[i % n];
    const std::vector<float> codes = values_of(
        rtn.quantize(w, linear.matrix->rows, linear.matrix->cols, scheme.weights, {.clip = Clip::none}, pool),
        pool);
    for (size_t at = 0; at < x.size(); at += n)
      for (size_t row = 0; row < codes.size(); row += n) {
        double difference = 0;
        for (size_t c = 0; c < n; ++c)
          difference += double{rounded[at + c]} * double{codes[row + c]} -
                        double{x[at + c]} * double{linear.values[row + c]};
        lost += difference * difference;
      }
  }
  return lost;
}

// Scales that take over more and more of what is large in the inputs.
std::vector<float> scales_of(const std::vector<float>& x, size_t n, float exponent) {
  std::vector<float> scales(n, 0);
  for (size_t i = 0; i < x.size(); ++i) scales[i % n] = std::max(scales[i % n], std::fabs(x[i]));
  for (float& scale : scales) scale = std::exp2(std::round(std::log2(std::pow(scale, exponent))));
  return scales;
}

// Powers of two are exact in the norm's dtype, so what was divided by can be read off the weights.
TEST(ColumnScales, AreThoseThatLoseLeastOfTheOutputs) {
  const auto source = test::random_checkpoint(config_of());
  base::ThreadPool pool(2);
  const model::Backend backend{&kernels::kernel_set("auto"), &pool, kernels::Precision::fp32};
  for (const std::string scheme : {"W8A8", "W4A16", "W4A8", "FP8_DYNAMIC"}) {
    QuantizeJob job;
    job.recipe.scheme = numeric::find_scheme(scheme);
    job.recipe.methods = complete_methods({make_step("rtn")});
    job.dry_run = true;
    Report report;
    const Plan plan = make_plan(*source, job, report);
    BlockWeights block(*source, plan, 0, backend), before(*source, plan, 0, backend);
    const auto n = static_cast<size_t>(plan.tensors.config.hidden_size);
    const std::vector<float> x = inputs_with_outliers(static_cast<int64_t>(n));
    BlockStatistics seen;
    seen.set(Stage::gate_up, InputStatistics(x, static_cast<int64_t>(n), "test", backend));
    constexpr int kGrid = 4;
    const auto scales_at = [&](float exponent) { return scales_of(x, n, exponent); };
    divide_by_best(block, Stage::gate_up, seen, kGrid, scales_at, pool);
    std::vector<float> chosen(n);
    for (size_t c = 0; c < n; ++c)
      chosen[c] = block.linears(Stage::gate_up)[0].values[c] / before.linears(Stage::gate_up)[0].values[c];
    double least = HUGE_VAL;
    for (int step = 0; step < kGrid; ++step)
      least =
          std::min(least, loss(before, Stage::gate_up, x, scales_at(static_cast<float>(step) / kGrid), pool));
    const double none = loss(before, Stage::gate_up, x, std::vector<float>(n, 1), pool);
    // The search takes errors of columns as independent, looks at a third of the tokens, and may pick a
    // neighbour that is nearly as good.
    EXPECT_LE(loss(before, Stage::gate_up, x, chosen, pool), 1.05 * least) << scheme;
    EXPECT_LT(least, 0.8 * none) << scheme;
  }
}

// As many tokens as the sample has, so that it holds each of them.
TEST(InputStatistics, WithoutAGramMatrixTellTheSameFromASample) {
  base::ThreadPool pool(2);
  const model::Backend backend{&kernels::kernel_set("auto"), &pool, kernels::Precision::fp32};
  constexpr int64_t kCols = 40;
  const std::vector<float> values = random_values(InputStatistics::kSample * kCols, 5);
  model::StateArray x(values.size(), {});
  x.write(0, values);
  const int64_t lengths[] = {InputStatistics::kSample};
  InputStatistics with(x, kCols, lengths, "test", backend),
      without(x, kCols, lengths, "test", backend, false);
  const std::vector<float> error = random_values(70 * kCols, 6, 0.01);
  for (const float scale : {1.0f, 3.0f}) {
    const std::vector<float> scales(kCols, scale);
    with.divide(scales);
    without.divide(scales);
    EXPECT_NEAR(without.output_error(error) / with.output_error(error), 1, 1e-5);
    EXPECT_TRUE(std::ranges::equal(without.importance(), with.importance()));
    EXPECT_TRUE(std::ranges::equal(without.max_magnitude(), with.max_magnitude()));
  }
  EXPECT_TRUE(without.gram().empty());
}

TEST(InputStatistics, SamplesWholeTokensFromAllOver) {
  base::ThreadPool pool(1);
  const model::Backend backend{&kernels::kernel_set("auto"), &pool, kernels::Precision::fp32};
  for (const int64_t tokens : {3, 256, 1000, 4096}) {
    std::vector<float> x;
    for (int64_t t = 0; t < tokens; ++t)
      x.insert(x.end(), {static_cast<float>(t), static_cast<float>(t) + 0.5f});
    const InputStatistics s(x, 2, "test", backend);
    const auto sample = s.sample();
    ASSERT_EQ(sample.size(), 2 * InputStatistics::kSample);
    const double run = static_cast<double>(tokens) / InputStatistics::kSample;
    for (size_t i = 0; i < sample.size(); i += 2) {
      EXPECT_EQ(sample[i + 1], sample[i] + 0.5f);
      EXPECT_NEAR(sample[i], (static_cast<double>(i / 2) + 0.5) * run, 0.5 * run + 1);
    }
  }
}

}  // namespace
}  // namespace aquatint::quant
