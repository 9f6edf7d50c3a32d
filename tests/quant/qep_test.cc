#include "calibrated_linear.h"
#include "pipeline_fixture.h"
#include "quant/drift.h"
#include "quant/linear_algebra.h"

namespace aquatint::quant {
namespace {

// Where the exact inputs are a linear function of the moved ones, corrected weights give the exact outputs.
TEST(DriftTest, CorrectionUndoesALinearDrift) {
  constexpr int64_t kTokens = 500, kCols = 24, kRows = 10;
  base::ThreadPool pool(2);
  const model::Backend backend{&kernels::kernel_set("ref"), &pool};  // exact sums: an identity is tested
  const std::vector<float> moved = random_values(kTokens * kCols, 1), w = random_values(kRows * kCols, 2);
  std::vector<float> drift = random_values(kCols * kCols, 3);
  for (float& v : drift) v *= 0.05f;
  std::vector<float> exact = product(moved, kTokens, drift, kCols, backend);
  for (size_t i = 0; i < exact.size(); ++i) exact[i] += moved[i];
  const InputStatistics inputs(moved, kCols, "test", backend);
  const Drift measured(exact, moved, {}, {}, inputs);
  EXPECT_TRUE(measured.of_residual(0).empty());
  std::vector<float> corrected = product(w, kRows, measured.of_inputs(1e-7), kCols, backend);
  for (size_t i = 0; i < w.size(); ++i) corrected[i] += w[i];
  for (int64_t t = 0; t < kTokens; t += 13)
    for (int64_t r = 0; r < kRows; ++r) {
      double want = 0, got = 0;
      for (int64_t c = 0; c < kCols; ++c) {
        want += double{w[static_cast<size_t>(r * kCols + c)]} * exact[static_cast<size_t>(t * kCols + c)];
        got +=
            double{corrected[static_cast<size_t>(r * kCols + c)]} * moved[static_cast<size_t>(t * kCols + c)];
      }
      ASSERT_NEAR(got, want, 1e-4);
    }
}

TEST(DriftTest, ResidualIsRegressedOnTheInputs) {
  constexpr int64_t kTokens = 400, kCols = 8, kHidden = 5;
  base::ThreadPool pool(2);
  const model::Backend backend{&kernels::kernel_set("auto"), &pool};
  const std::vector<float> x = random_values(kTokens * kCols, 1), slopes = random_values(kHidden * kCols, 2);
  const std::vector<float> moved(kTokens * kHidden, 3.0f);
  std::vector<float> exact = moved;
  for (int64_t t = 0; t < kTokens; ++t)
    for (int64_t h = 0; h < kHidden; ++h)
      for (int64_t c = 0; c < kCols; ++c)
        exact[static_cast<size_t>(t * kHidden + h)] +=
            slopes[static_cast<size_t>(h * kCols + c)] * x[static_cast<size_t>(t * kCols + c)];
  const InputStatistics inputs(x, kCols, "test", backend);
  const std::vector<float> found = Drift(x, x, exact, moved, inputs).of_residual(1e-7);
  ASSERT_EQ(found.size(), slopes.size());
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], slopes[i], 1e-4);
}

// With the tokens that the weights were corrected by, the quantized model comes nearer to the exact one.
TEST_F(Pipeline, CorrectedModelsStayNearerToTheExactOne) {
  for (const char* type : {"llama", "qwen2", "qwen3"}) {
    base::Json config = test::tiny_config(type);
    config.update(config_of());
    config["model_type"] = type;
    config["num_hidden_layers"] = 3;
    const auto source = test::random_checkpoint(config);
    CalibrationSet tokens;
    for (uint64_t seed = 0; seed < 40; ++seed) tokens.sequences.push_back(test::some_tokens(48, seed));
    const auto hidden = [&](const std::shared_ptr<const checkpoint::Checkpoint>& from) {
      const test::Runner runner(from, kernels::kernel_set("auto"), kernels::Precision::fp32);
      std::vector<float> all;
      for (const auto& sequence : tokens.sequences) {
        model::KvCache cache = runner.cache();
        const std::vector<float> states = runner.run(sequence, cache, kernels::Phase::prefill);
        all.insert(all.end(), states.begin(), states.end());
      }
      return all;
    };
    const std::vector<float> exact = hidden(source);
    const auto distance = [&](const std::string& method) {
      const std::string to = type + method;
      run(*source, "W3A16", {.method = method, .calibration = &tokens}, to);
      const std::vector<float> found = hidden(open(to));
      double sum = 0;
      for (size_t i = 0; i < found.size(); ++i) sum += std::pow(double{found[i]} - exact[i], 2);
      return sum;
    };
    EXPECT_LT(distance("qep gptq"), 0.95 * distance("gptq")) << type;
    EXPECT_LT(distance("qep rtn"), 0.95 * distance("rtn")) << type;
  }
}

TEST_F(Pipeline, CorrectionsGiveTheSameBytesForAnyThreads) {
  const auto source = test::random_checkpoint(config_of());
  CalibrationSet tokens;
  for (uint64_t seed = 0; seed < 20; ++seed) tokens.sequences.push_back(test::some_tokens(48, seed));
  base::ThreadPool one(1), three(3);
  run(*source, "W4A16", {.method = "awq qep gptq", .calibration = &tokens}, "one", &one);
  run(*source, "W4A16", {.method = "awq qep gptq", .calibration = &tokens}, "three", &three);
  EXPECT_EQ(open("one")->sha256(), open("three")->sha256());
}

}  // namespace
}  // namespace aquatint::quant
