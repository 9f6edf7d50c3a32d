// LLM_INT8 end to end: what is written, and that inputs above the threshold really go around the codes.
#include <cmath>

#include "pipeline_fixture.h"

namespace aquatint::quant {
namespace {

QuantizeJob job_with(double threshold) {
  QuantizeJob job;
  job.recipe.scheme = numeric::find_scheme("W8A8");
  job.recipe.methods = {make_step("llm_int8")};
  job.recipe.methods[0].settings["threshold"] = threshold;
  return job;
}

class LlmInt8 : public Pipeline {
 protected:
  // Hidden states of a model in this folder, inputs rounded to nothing but what its scheme asks for.
  std::vector<float> run_model(const std::string& name) {
    const test::Runner runner(open(name), kernels::kernel_set("auto"), kernels::Precision::fp32, 2);
    model::KvCache cache = runner.cache();
    return runner.run(test::some_tokens(20), cache, kernels::Phase::prefill);
  }
  static double distance(const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0, size = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      sum += std::pow(double{a[i]} - b[i], 2);
      size += std::pow(double{b[i]}, 2);
    }
    return std::sqrt(sum / size);
  }
};

TEST_F(LlmInt8, IsWrittenAsBitsandbytesHasIt) {
  const auto source = test::random_checkpoint(config_of());
  const model::Backend backend{&kernels::kernel_set("auto"), &pool_};
  const Report report = quantize(*source, folder_ / "five", job_with(5), backend);
  EXPECT_EQ(report.scheme, "LLM_INT8");
  EXPECT_EQ(report.layout, "bitsandbytes");
  const auto written = open("five");
  EXPECT_EQ(written->scheme(), "LLM_INT8");
  EXPECT_EQ(written->config()["quantization_config"]["llm_int8_threshold"], 5);
  EXPECT_EQ(written->weight("model.layers.0.mlp.up_proj").input.outlier_threshold, 5);
  convert(*written, folder_ / "ours", "aquatint", nullptr, pool_);
  EXPECT_EQ(open("ours")->weight("model.layers.0.mlp.up_proj").input.outlier_threshold, 5);
  EXPECT_EQ(values(open("ours")->weight("model.layers.0.mlp.up_proj")),
            values(written->weight("model.layers.0.mlp.up_proj")));
  EXPECT_THROW(convert(*written, folder_ / "no", "compressed-tensors", nullptr, pool_), base::BadUsage);
  QuantizeJob wrong = job_with(5);
  wrong.recipe.scheme = numeric::find_scheme("W4A16");
  EXPECT_THROW(quantize(*source, folder_ / "no", wrong, backend), base::BadUsage);
}

// With a threshold below every input nothing is rounded; with one above all of them everything is.
TEST_F(LlmInt8, OutliersGoAroundTheCodes) {
  const auto source = test::random_checkpoint(config_of());
  const model::Backend backend{&kernels::kernel_set("auto"), &pool_};
  for (const auto& [name, threshold] : {std::pair{"all", 1e-3}, {"some", 1.0}, {"none", 1e6}})
    quantize(*source, folder_ / name, job_with(threshold), backend);
  convert(*open("none"), folder_ / "values", "safetensors", &numeric::fp32, pool_);
  const std::vector<float> exact = run_model("values");
  const double all = distance(run_model("all"), exact), some = distance(run_model("some"), exact),
               none = distance(run_model("none"), exact);
  EXPECT_LT(all, 1e-3);
  EXPECT_LT(all, some / 2);
  EXPECT_LT(some, none);
  EXPECT_LT(none, 0.1);
}

}  // namespace
}  // namespace aquatint::quant
