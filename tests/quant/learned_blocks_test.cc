#include "pipeline_fixture.h"

namespace aquatint::quant {
namespace {

CalibrationSet calibration_tokens() {
  CalibrationSet set;
  for (uint64_t seed = 0; seed < 16; ++seed) set.sequences.push_back(test::some_tokens(48, seed));
  return set;
}

// Of the last hidden states, summed over the calibration tokens.
double output_error(const std::shared_ptr<const checkpoint::Checkpoint>& a,
                    const std::shared_ptr<const checkpoint::Checkpoint>& b, const CalibrationSet& tokens) {
  const test::Runner first(a, kernels::kernel_set("auto"), kernels::Precision::fp32),
      second(b, kernels::kernel_set("auto"), kernels::Precision::fp32);
  double sum = 0;
  for (const auto& sequence : tokens.sequences) {
    model::KvCache x = first.cache(), y = second.cache();
    const std::vector<float> want = first.run(sequence, x, kernels::Phase::prefill),
                             got = second.run(sequence, y, kernels::Phase::prefill);
    for (size_t i = 0; i < want.size(); ++i) sum += std::pow(double{want[i]} - double{got[i]}, 2);
  }
  return sum;
}

TEST_F(Pipeline, AutoroundBringsTheOutputNearer) {
  const auto source = test::random_checkpoint(config_of());
  const CalibrationSet tokens = calibration_tokens();
  for (const char* scheme : {"W4A16", "W3A16", "W4A8"}) {
    const auto error = [&](const std::string& method) {
      const std::string name = scheme + method;
      const Report report = run(*source, scheme, {.method = method, .calibration = &tokens}, name);
      EXPECT_EQ(report.method, method);
      EXPECT_EQ(report.layers.size(), 14u);
      return output_error(source, open(name), tokens);
    };
    EXPECT_LT(error("autoround"), 0.7 * error("rtn")) << scheme;
  }
}

TEST_F(Pipeline, ZeroquantBringsTheOutputNearer) {
  const auto source = test::random_checkpoint(config_of());
  const CalibrationSet tokens = calibration_tokens();
  for (const char* scheme : {"int4:group32/int8:token", "int3:group32", "W4A8_FP"}) {
    const auto error = [&](const std::string& method) {
      const std::string name = method + std::to_string(std::hash<std::string_view>{}(scheme));
      run(*source, scheme, {.method = method, .calibration = &tokens}, name);
      return output_error(source, open(name), tokens);
    };
    EXPECT_LT(error("zeroquant"), 0.8 * error("rtn")) << scheme;
  }
}

TEST_F(Pipeline, LearnedBlocksAreTheSameBytesForAnyThreads) {
  const auto source = test::random_checkpoint(config_of());
  const CalibrationSet tokens = calibration_tokens();
  base::ThreadPool one(1), three(3);
  for (const std::string method : {"autoround", "zeroquant"}) {
    run(*source, "W4A16", {.method = method, .calibration = &tokens}, method + "1", &one);
    run(*source, "W4A16", {.method = method, .calibration = &tokens}, method + "3", &three);
    EXPECT_EQ(open(method + "1")->sha256(), open(method + "3")->sha256());
  }
}

TEST_F(Pipeline, AutoroundComesAfterTransforms) {
  const auto source = test::random_checkpoint(config_of());
  const CalibrationSet tokens = calibration_tokens();
  run(*source, "W4A16", {.method = "awq autoround", .calibration = &tokens}, "both");
  run(*source, "W4A16", {.method = "rtn"}, "rtn");
  EXPECT_LT(output_error(source, open("both"), tokens), output_error(source, open("rtn"), tokens));
}

TEST_F(Pipeline, AutoroundSaysWhatItCannotDo) {
  const auto source = test::random_checkpoint(config_of());
  const CalibrationSet tokens = calibration_tokens();
  EXPECT_THROW(run(*source, "W4A16", {.method = "autoround"}), base::BadUsage);
  for (const char* method : {"qep autoround", "quip autoround"})
    EXPECT_THROW(run(*source, "W4A16", {.method = method, .calibration = &tokens}), base::BadUsage);
  try {
    run(*source, "W4A8_FP", {.method = "autoround", .calibration = &tokens});
    FAIL();
  } catch (const base::BadUsage& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("autoround learns to round integers"));
  }
  for (const char* scheme : {"NF4", "MXFP4"})
    EXPECT_THROW(run(*source, scheme, {.method = "zeroquant", .calibration = &tokens}), base::BadUsage);
  EXPECT_EQ(files_left(), 0u);
}

}  // namespace
}  // namespace aquatint::quant
