// Rotated models: their function, their files, and what is refused.
#include <fstream>

#include "base/error.h"
#include "pipeline_fixture.h"
#include "quant/block_weights.h"

namespace aquatint::quant {
namespace {

using testing::HasSubstr;

std::vector<float> logits_of(const std::shared_ptr<const checkpoint::Checkpoint>& checkpoint,
                             int64_t tokens = 40) {
  const test::Runner runner(checkpoint, kernels::kernel_set("auto"), kernels::Precision::fp32, 2);
  model::KvCache cache = runner.cache();
  return runner.logits(runner.run(test::some_tokens(tokens), cache, kernels::Phase::prefill));
}

float largest_of(const std::vector<float>& values) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  return largest;
}

float distance(const std::vector<float>& a, const std::vector<float>& b) {
  float largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::fabs(a[i] - b[i]));
  return largest;
}

// The rotated model in FP32, nothing rounded to fewer bits.
std::shared_ptr<test::FakeCheckpoint> rotated(const test::FakeCheckpoint& source, const MethodStep& step,
                                              const model::Backend& backend) {
  QuantizeJob job;
  job.recipe.scheme = numeric::find_scheme("W8A8");
  job.recipe.methods = complete_methods({step});
  job.dry_run = true;
  Report report;
  const Plan plan = make_plan(source, job, report);
  auto out = std::make_shared<test::FakeCheckpoint>(source);
  out->config_json.update(config_changes(plan.rotations));
  for (int64_t layer = 0; layer < plan.tensors.config.layers; ++layer) {
    BlockWeights block(source, plan, layer, backend);
    for (const auto& [name, values] : block.changeable_vectors()) out->vectors[name] = values;
    for (const model::Stage stage : model::kStages)
      for (const BlockWeights::Linear& linear : block.linears(stage))
        out->matrices[linear.matrix->module] =
            tensor::plain_matrix(linear.values, linear.matrix->rows, linear.matrix->cols);
  }
  if (!plan.rotations.folds_embedding()) return out;
  for (const ModelMatrix& matrix : {plan.tensors.matrices.front(), plan.tensors.matrices.back()}) {
    std::vector<float> values(static_cast<size_t>(matrix.rows * matrix.cols));
    folded_rows(source, matrix, plan.rotations.residual, backend)(0, matrix.rows, values.data());
    out->matrices[matrix.module] = tensor::plain_matrix(values, matrix.rows, matrix.cols);
  }
  out->vectors[kFinalNorm].assign(static_cast<size_t>(plan.tensors.config.hidden_size), 1.0f);
  return out;
}

std::vector<MethodStep> all_rotations() {
  std::vector<MethodStep> steps = {make_step("quarot"), make_step("quarot"), make_step("quip"),
                                   make_step("quip")};
  steps[0].settings["cache"] = true;
  steps[1].settings["untie"] = steps[3].settings["untie"] = true;
  steps[1].settings["online"] = false;
  return steps;
}

// On its way through a layer a value meets at most eight rotations, of weights or at run time, each of which
// adds at most as many roundings as its largest M has columns, and four; errors of the residual stream add up
// over the layers and reach the logits through one more pair.
TEST(RotatedModel, HasTheFunctionOfTheOriginal) {
  base::ThreadPool pool(2);
  const model::Backend backend{&kernels::kernel_set("auto"), &pool, kernels::Precision::fp32};
  for (const char* type : {"llama", "mistral", "qwen2", "qwen3"})
    for (const bool tied : {false, true})
      for (const MethodStep& step : all_rotations()) {
        base::Json config = test::tiny_config(type);
        config["tie_word_embeddings"] = tied;
        const auto source = test::random_checkpoint(config);
        const std::vector<float> want = logits_of(source), got = logits_of(rotated(*source, step, backend));
        constexpr float kRoundings = 8 * (60 + 4) * (3 + 1);
        EXPECT_LE(distance(got, want), kRoundings * 0x1p-24f * largest_of(want))
            << type << " tied " << tied << " " << step.method->name << step.settings;
        EXPECT_NE(got, want);
      }
}

// A model with another seed is another file with the same function.
TEST(RotatedModel, OfAnotherSeedHasOtherWeights) {
  base::ThreadPool pool(2);
  const model::Backend backend{&kernels::kernel_set("auto"), &pool, kernels::Precision::fp32};
  const auto source = test::random_checkpoint(test::tiny_config("llama"));
  MethodStep other = make_step("quarot");
  other.settings["seed"] = 1;
  const auto a = rotated(*source, make_step("quarot"), backend), b = rotated(*source, other, backend);
  const auto o_proj = [](const test::FakeCheckpoint& c) {
    const tensor::QuantizedMatrix m = c.weight("model.layers.0.self_attn.o_proj");
    std::vector<float> values(static_cast<size_t>(m.rows * m.cols));
    tensor::dequantize(m, 0, m.rows, values.data());
    return values;
  };
  EXPECT_NE(o_proj(*a), o_proj(*b));
}

// All files of a folder, by name.
std::map<std::string, std::string> files_of(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    std::ifstream in(entry.path(), std::ios::binary);
    files[entry.path().filename()] = {std::istreambuf_iterator<char>(in), {}};
  }
  return files;
}

class RotatedFiles : public Pipeline {
 protected:
  CalibrationSet some_text() const {
    CalibrationSet set;
    for (uint64_t seed = 0; seed < 8; ++seed) set.sequences.push_back(test::some_tokens(64, seed));
    set.description = "random tokens";
    return set;
  }
  template <class Call>
  static std::string refusal(Call call) {
    try {
      call();
    } catch (const base::BadUsage& e) {
      return e.what();
    }
    return "nothing was thrown";
  }
};

TEST_F(RotatedFiles, RunAndConvertAndAreTheSameWhateverTheThreads) {
  const auto source = test::random_checkpoint(config_of());
  const CalibrationSet text = some_text();
  base::ThreadPool one(1);
  for (const char* method :
       {"quarot", "quarot gptq", "quip", "quarot smoothquant", "quarot awq gptq", "quarot qep gptq"}) {
    const Options options{.method = method, .calibration = &text};
    const Report report = run(*source, "W8A8", options, "a");
    run(*source, "W8A8", options, "b", &one);
    EXPECT_EQ(report.layout, "aquatint") << method;
    EXPECT_TRUE(files_of(folder_ / "a") == files_of(folder_ / "b")) << method;
    const std::vector<float> want = logits_of(source), got = logits_of(open("a"));
    EXPECT_LT(distance(got, want), 0.1f * largest_of(want)) << method;
    convert(*open("a"), folder_ / "c", "aquatint", nullptr, pool_);
    EXPECT_EQ(logits_of(open("c")), got) << method;
    EXPECT_THAT(refusal([&] { convert(*open("a"), folder_ / "d", "compressed-tensors", nullptr, pool_); }),
                HasSubstr("cannot say the rotations"));
    for (const char* folder : {"a", "b", "c"}) fs::remove_all(folder_ / folder);
  }
}

TEST_F(RotatedFiles, NeedNothingOfTheRunWhenUntiedAndOffline) {
  const auto source = test::random_checkpoint(config_of());
  QuantizeJob job;
  job.recipe.scheme = numeric::find_scheme("W8A8");
  MethodStep step = make_step("quarot");
  step.settings["online"] = false;
  step.settings["untie"] = true;
  job.recipe.methods = complete_methods({step});
  const Report report = quantize(*source, folder_ / "a", job, {&kernels::kernel_set("auto"), &pool_});
  EXPECT_EQ(report.layout, "compressed-tensors");
  EXPECT_THAT(report.notes, testing::Contains(HasSubstr("untied: 12416 bytes more")));  // 97 · 64 · 2
  const auto written = open("a");
  EXPECT_FALSE(written->config().contains(model::kRotationsKey));
  EXPECT_EQ(written->config()["tie_word_embeddings"], false);
  EXPECT_EQ(written->vector(kFinalNorm, 64), std::vector<float>(64, 1.0f));
  EXPECT_EQ(written->vector("model.layers.1.input_layernorm.weight", 64), std::vector<float>(64, 1.0f));
  const std::vector<float> want = logits_of(source), got = logits_of(open("a"));
  EXPECT_LT(distance(got, want), 0.1f * largest_of(want));
}

TEST_F(RotatedFiles, AreRefusedWhereTheyCannotBe) {
  const auto source = test::random_checkpoint(config_of());
  EXPECT_THAT(refusal([&] { run(*source, "W8A8", {.method = "quarot", .layout = "compressed-tensors"}); }),
              HasSubstr("only aquatint can"));
  EXPECT_THAT(refusal([&] { run(*source, "W8A8", {.method = "smoothquant quarot"}); }),
              HasSubstr("quarot must be the first method"));
  EXPECT_THAT(refusal([&] { run(*source, "W8A8", {.method = "quarot quip"}); }),
              HasSubstr("quip must be the first method"));
  run(*source, "W8A8", {.method = "quarot"});
  EXPECT_THAT(refusal([&] { run(*open("W8A8"), "W4A16", {.method = "quarot"}, "again"); }),
              HasSubstr("rotated already"));
  base::Json config = config_of();
  config["intermediate_size"] = 2062;  // 2 · 1031, a prime
  EXPECT_THAT(refusal([&] { run(*test::random_checkpoint(config), "W8A8", {.method = "quarot"}, "odd"); }),
              HasSubstr("quarot cannot rotate inputs of down_proj of width 2062"));
}

}  // namespace
}  // namespace aquatint::quant
