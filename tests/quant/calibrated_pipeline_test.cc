#include "pipeline_fixture.h"

namespace aquatint::quant {
namespace {

double mean_error(const Report& report) {
  double sum = 0;
  for (const LayerReport& layer : report.layers) sum += layer.relative_error;
  return sum / static_cast<double>(report.layers.size());
}

TEST_F(Pipeline, CalibratedMethodsLoseLess) {
  const auto source = test::random_checkpoint(config_of());
  const CalibrationSet tokens = calibration_tokens();
  const auto error = [&](const std::string& method) {
    const Report report = run(*source, "W4A16", {.method = method, .calibration = &tokens}, method);
    EXPECT_EQ(report.method, method);
    for (const LayerReport& layer : report.layers) {
      EXPECT_EQ(layer.error_basis, "calibration");
      EXPECT_EQ(layer.tokens, tokens.tokens());
      EXPECT_EQ(layer.damping > 0, method == "gptq") << method;
    }
    return mean_error(report);
  };
  const double rtn_error = error("rtn");
  EXPECT_LT(error("gptq"), 0.9 * rtn_error);
}

// Schemes beyond the presets are written, read and run like those.
TEST_F(Pipeline, ComposedSchemesRun) {
  const auto source = test::random_checkpoint(config_of());
  const CalibrationSet tokens = calibration_tokens();
  int number = 0;
  for (const std::string scheme :
       {"int8:tensor", "int8:channel/int8:tensor", "int4:group32:asym/fp8_e4m3:token", "fp8_e5m2:channel",
        "fp6_e3m2:group16/int8:token", "int5:channel", "fp8_e4m3:channel/fp8_e5m2:tensor"}) {
    const std::string to = std::to_string(number++);
    const Report report = run(*source, scheme, {.method = "gptq", .calibration = &tokens}, to);
    EXPECT_EQ(report.scheme, scheme);
    const test::Runner runner(std::shared_ptr<const checkpoint::Checkpoint>(open(to)),
                              kernels::kernel_set("auto"), kernels::Precision::bf16);
    model::KvCache cache = runner.cache();
    for (const float value : runner.run(test::some_tokens(20), cache, kernels::Phase::prefill))
      ASSERT_TRUE(std::isfinite(value)) << scheme;
  }
}

TEST_F(Pipeline, CalibratedMethodsGiveTheSameBytesForAnyThreads) {
  const auto source = test::random_checkpoint(config_of());
  const CalibrationSet tokens = calibration_tokens();
  base::ThreadPool one(1), three(3);
  for (const std::string method : {"gptq", "awq rtn", "smoothquant gptq"}) {
    const std::string a = method + " 1", b = method + " 3";
    run(*source, "W4A16", {.method = method, .calibration = &tokens}, a, &one);
    run(*source, "W4A16", {.method = method, .calibration = &tokens}, b, &three);
    EXPECT_EQ(open(a)->sha256(), open(b)->sha256()) << method;
  }
}

// Scales move between weights and what makes their inputs; at 8 bits the model is nearly what it was.
TEST_F(Pipeline, TransformsKeepTheModelsFunction) {
  for (const char* type : {"llama", "qwen2", "qwen3"}) {
    const auto source = test::random_checkpoint(test::tiny_config(type));
    const CalibrationSet tokens = calibration_tokens();
    const auto hidden = [&](const std::shared_ptr<const checkpoint::Checkpoint>& from) {
      const test::Runner runner(from, kernels::kernel_set("auto"), kernels::Precision::fp32);
      model::KvCache cache = runner.cache();
      return runner.run(test::some_tokens(20), cache, kernels::Phase::prefill);
    };
    const std::vector<float> before = hidden(source);
    double plain_error = 0;
    for (const std::string method : {"rtn", "awq rtn", "smoothquant rtn"}) {
      run(*source, "W8A16", {.method = method, .dtype = &numeric::fp32, .calibration = &tokens},
          type + method);
      const std::vector<float> after = hidden(open(type + method));
      double difference = 0, size = 0;
      for (size_t i = 0; i < before.size(); ++i) {
        difference += std::pow(double{before[i]} - after[i], 2);
        size += std::pow(double{before[i]}, 2);
      }
      if (method == "rtn") plain_error = difference / size;
      // At 8 bits nothing is gained by scaling 36 columns, and little may be lost.
      EXPECT_LT(difference / size, 2 * plain_error + 1e-12) << type << " " << method;
      EXPECT_LT(difference / size, 0.002);
      const bool changed = open(type + method)->vector("model.layers.0.input_layernorm.weight", 36) !=
                           source->vector("model.layers.0.input_layernorm.weight", 36);
      EXPECT_EQ(changed, method != "rtn");
    }
  }
}

TEST_F(Pipeline, StaticInputScalesComeFromCalibration) {
  const auto source = test::random_checkpoint(config_of());
  const CalibrationSet tokens = calibration_tokens();
  for (const char* name : {"FP8", "NVFP4"}) {
    run(*source, name, {.calibration = &tokens});
    const numeric::ActivationScheme q = open(name)->weight("model.layers.0.self_attn.q_proj").input;
    const numeric::ActivationScheme v = open(name)->weight("model.layers.0.self_attn.v_proj").input;
    EXPECT_GT(q.static_scale, 0) << name;
    EXPECT_EQ(q.static_scale, v.static_scale) << name;
    const test::Runner runner(open(name), kernels::kernel_set("auto"), kernels::Precision::bf16);
    model::KvCache cache = runner.cache();
    for (const float value : runner.run(test::some_tokens(20), cache, kernels::Phase::prefill))
      ASSERT_TRUE(std::isfinite(value));
  }
}

TEST_F(Pipeline, MethodsThatNeedCalibrationSaySo) {
  const auto source = test::random_checkpoint(config_of());
  for (const char* method : {"gptq", "awq", "smoothquant"})
    EXPECT_THROW(run(*source, "W4A16", {.method = method}), base::BadUsage) << method;
  EXPECT_EQ(files_left(), 0u);
  EXPECT_NO_THROW(run(*source, "W4A16", {.method = "gptq", .dry_run = true}));
}

}  // namespace
}  // namespace aquatint::quant
