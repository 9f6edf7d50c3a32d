#include "bench/workload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/statistics.h"
#include "model/fake_checkpoint.h"

namespace aquatint::bench {
namespace {

using ::testing::Each;
using ::testing::Gt;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class WorkloadTest : public ::testing::Test {
 protected:
  WorkloadTest() {
    small_.prompt_tokens = 5;
    small_.generate_tokens = 6;
    small_.batches = {1, 3};
    small_.repeats = 4;
  }

  base::ThreadPool pool_{2};
  std::unique_ptr<model::Model> model_ =
      model::Model::load(test::random_checkpoint(test::tiny_config("llama")),
                         {&kernels::kernel_set("ref"), &pool_, kernels::Precision::fp32});
  Peaks peaks_{10, 1 << 20, {{"fp32", 1e11}, {"int8", 4e11}}};
  Workload small_;
};

TEST_F(WorkloadTest, KeepsEverySample) {
  const BenchResult result = run_workload(*model_, small_, peaks_);
  ASSERT_THAT(result.runs, SizeIs(2));
  EXPECT_EQ(result.runs[0].batch, 1);
  EXPECT_EQ(result.runs[1].batch, 3);
  for (const bench::Run& run : result.runs) {
    EXPECT_THAT(run.prefill, SizeIs(4));
    EXPECT_THAT(run.decode, SizeIs(4));
    EXPECT_THAT(run.prefill, Each(Gt(0.0)));
    EXPECT_THAT(run.decode, Each(Gt(0.0)));
  }
  EXPECT_EQ(result.weight_bytes, model_->weight_bytes());
  EXPECT_EQ(result.kernels, "ref");
  EXPECT_GT(result.peak_ram_bytes, result.weight_bytes);
}

TEST_F(WorkloadTest, TimesBehindADepth) {
  small_.depth = 30;
  for (const kernels::KvFormat format : {kernels::KvFormat::fp32, kernels::KvFormat::int4}) {
    const auto model =
        model::Model::load(test::random_checkpoint(test::tiny_config("llama")),
                           {&kernels::kernel_set("ref"), &pool_, kernels::Precision::fp32, format});
    const BenchResult result = run_workload(*model, small_, peaks_);
    EXPECT_EQ(result.kv_format, kernels::name(format));
    EXPECT_EQ(result.runs[1].depth, 30);
    EXPECT_THAT(result.runs[1].decode, Each(Gt(0.0)));
  }
  small_.depth = model_->config().max_positions - 5;
  EXPECT_THROW(run_workload(*model_, small_, peaks_), base::BadUsage);
}

TEST_F(WorkloadTest, UtilizationFollowsItsFormula) {
  const double flops = 2.0 * static_cast<double>(block_parameters(model_->config()));
  const bench::Run run = run_workload(*model_, small_, peaks_).runs[1];
  const double prefill = base::summarize(run.prefill).mean, decode = base::summarize(run.decode).mean;
  EXPECT_DOUBLE_EQ(run.flop_utilization, flops * prefill / 1e11);
  EXPECT_DOUBLE_EQ(run.bandwidth_utilization,
                   static_cast<double>(model_->bytes_per_decode()) * (decode / 3) / 10e9);
  small_.arithmetic = "int8";
  const bench::Run other = run_workload(*model_, small_, peaks_).runs[0];
  EXPECT_DOUBLE_EQ(other.flop_utilization, flops * base::summarize(other.prefill).mean / 4e11);
}

TEST_F(WorkloadTest, MeasuresTheBandwidthOverItsOwnWeights) {
  peaks_.read_gb_s = 0;
  const BenchResult result = run_workload(*model_, small_, peaks_);
  EXPECT_EQ(result.peaks.read_buffer_bytes, model_->bytes_per_decode());
  EXPECT_GT(result.peaks.read_gb_s, 0);
  EXPECT_GT(result.runs[0].bandwidth_utilization, 0);
}

TEST_F(WorkloadTest, CountsTheLinearsOfTheBlocks) {
  // tiny_config: 3 layers, hidden 36, 6 heads and 2 key-value heads of 10, intermediate 52.
  EXPECT_EQ(block_parameters(model_->config()), 3 * (36 * 60 + 2 * 36 * 20 + 60 * 36 + 3 * 36 * 52));
}

TEST_F(WorkloadTest, OnePhaseAlone) {
  small_.generate_tokens = 0;
  const bench::Run prefill = run_workload(*model_, small_, peaks_).runs[0];
  EXPECT_THAT(prefill.decode, IsEmpty());
  EXPECT_TRUE(std::isnan(prefill.bandwidth_utilization));
  small_.generate_tokens = 3;
  small_.prompt_tokens = 0;
  EXPECT_THAT(run_workload(*model_, small_, peaks_).runs[0].prefill, IsEmpty());
}

TEST_F(WorkloadTest, ManyPromptTokensRunInGroups) {
  small_.prompt_tokens = 700;  // two prompts at a time
  small_.generate_tokens = 0;
  small_.batches = {5};
  small_.repeats = 1;
  small_.warmups = 0;
  EXPECT_THAT(run_workload(*model_, small_, peaks_).runs[0].prefill, SizeIs(1));
}

TEST_F(WorkloadTest, JsonHasTheDocumentedKeys) {
  small_.generate_tokens = 0;
  const base::Json json = to_json(run_workload(*model_, small_, peaks_));
  for (const char* key : {"peaks", "peak_ram_bytes", "weight_bytes", "kernels", "runs"})
    EXPECT_TRUE(json.contains(key)) << key;
  EXPECT_EQ(json["peaks"]["read_gb_s"], 10.0);
  EXPECT_EQ(json["peaks"]["flop_s"]["int8"], 4e11);
  const base::Json& run = json["runs"][1];
  EXPECT_EQ(run["batch"], 3);
  EXPECT_EQ(run["prompt_tokens"], 5);
  EXPECT_EQ(run["generate_tokens"], 0);
  EXPECT_EQ(run["prefill_tokens_per_second"]["samples"].size(), 4u);
  EXPECT_TRUE(run["decode_tokens_per_second"].is_null());
  EXPECT_TRUE(run["bandwidth_utilization"].is_null());
  EXPECT_TRUE(run["flop_utilization"].is_number());
}

TEST_F(WorkloadTest, RefusesTheImpossible) {
  const auto refused = [&](auto change) {
    Workload w = small_;
    change(w);
    EXPECT_THROW(run_workload(*model_, w, peaks_), base::BadUsage);
  };
  refused([](Workload& w) { w.prompt_tokens = w.generate_tokens = 0; });
  refused([](Workload& w) { w.prompt_tokens = -1; });
  refused([](Workload& w) { w.repeats = 0; });
  refused([](Workload& w) { w.batches = {}; });
  refused([](Workload& w) { w.batches = {0}; });
  refused([](Workload& w) { w.prompt_tokens = 4096; });  // the model has 2048 positions
}

TEST(Peaks, ArePlausible) {
  base::ThreadPool pool(2);
  const Peaks peaks = measure_peaks(pool, 3 << 20);
  EXPECT_EQ(peaks.read_buffer_bytes, 3u << 20);
  EXPECT_GT(peaks.read_gb_s, 0.1);
  EXPECT_LT(peaks.read_gb_s, 1e5);
  for (const char* type : {"fp32", "bf16", "int8"}) EXPECT_GT(to_json(peaks)["flop_s"][type], 1e8) << type;
}

}  // namespace
}  // namespace aquatint::bench
