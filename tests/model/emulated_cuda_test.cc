// Whole models on the CUDA kernels, read by the C++ compiler over an emulated device: against `ref`.
#include <gtest/gtest.h>

#include "cases/linear_cases.h"
#include "kernels/cuda/emulated_set.h"
#include "runner.h"

namespace aquatint::model {
namespace {

using kernels::KvFormat;
using kernels::Phase;
using kernels::Precision;
using test::random_checkpoint;
using test::Runner;
using test::some_tokens;
using test::tiny_config;

// Prompt, then some tokens as if they had been generated.
std::vector<float> logits_of(const Runner& r, std::span<const int32_t> ids, size_t generated) {
  KvCache cache = r.cache(static_cast<int64_t>(ids.size()));
  const size_t prompt = ids.size() - generated;
  std::vector<float> logits = r.logits(r.run(ids.first(prompt), cache, Phase::prefill));
  for (size_t i = prompt; i < ids.size(); ++i) {
    const auto row = r.logits(r.run(ids.subspan(i, 1), cache, Phase::decode), Phase::decode);
    logits.insert(logits.end(), row.begin(), row.end());
  }
  return logits;
}

// The root of the mean square of all differences, over that of `want`.
double relative_difference(const std::vector<float>& got, const std::vector<float>& want) {
  double difference = 0, all = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    difference += (double{got[i]} - want[i]) * (double{got[i]} - want[i]);
    all += double{want[i]} * want[i];
  }
  return std::isfinite(difference) ? std::sqrt(difference / all) : HUGE_VAL;
}

// The same weights, whose inputs are not rounded.
std::shared_ptr<const checkpoint::Checkpoint> without_input_schemes(const test::FakeCheckpoint& checkpoint) {
  auto exact = std::make_shared<test::FakeCheckpoint>(checkpoint);
  for (auto& [module, matrix] : exact->matrices) matrix.input = {};
  return exact;
}

// FP32 sums differ by chains of some dozen to some hundred roundings of 2⁻²⁴, through three blocks. Where
// inputs and caches are rounded, both sets round values that differ by that little, so now and then to
// neighbours: one step, which is what rounding itself errs by in each value. Together these stay below all
// that rounding does: the distance to a model that rounds nothing. Decoded weights may be rounded to BF16 as
// well (ops.h), which errs by as much once more.
void expect_close(const std::shared_ptr<test::FakeCheckpoint>& checkpoint, Precision precision,
                  std::optional<KvFormat> cache, int64_t tokens, const std::string& what) {
  const kernels::KernelSet& ref = kernels::kernel_set("ref");
  const auto ids = some_tokens(tokens);
  const auto run = [&](const auto& model, const kernels::KernelSet& set, Precision p,
                       std::optional<KvFormat> kv) {
    return logits_of(Runner(model, set, p, 1, kv), ids, 3);
  };
  const auto want = run(checkpoint, ref, precision, cache);
  const double found =
      relative_difference(run(checkpoint, kernels::cuda::emulated_set(), precision, cache), want);
  double bound = 1e-5;
  if (precision != Precision::fp32)
    bound = 2 * relative_difference(
                    run(without_input_schemes(*checkpoint), ref, Precision::fp32, KvFormat::fp32), want);
  EXPECT_LE(found, bound) << what;
}

TEST(EmulatedCuda, LogitsAreThoseOfTheDefinition) {
  for (const char* type : {"llama", "mistral", "qwen2", "qwen3"})
    expect_close(random_checkpoint(tiny_config(type)), Precision::fp32, std::nullopt, 30, type);
  expect_close(random_checkpoint(tiny_config("llama")), Precision::bf16, std::nullopt, 45, "llama");
}

TEST(EmulatedCuda, RotationsAtRunTime) {
  base::Json json = tiny_config("qwen3");
  json[kRotationsKey] = {{"version", 1}, {"residual", 1},  {"query_key", 2},     {"attention_out_in", 3},
                         {"down_in", 4}, {"query_out", 5}, {"key_value_out", 6}, {"gate_up_out", 7}};
  expect_close(random_checkpoint(json), Precision::fp32, std::nullopt, 20, "rotated");
}

// int4's newest positions are kept in 16 bit.
TEST(EmulatedCuda, EveryFormatOfTheCache) {
  for (const KvFormat format : {KvFormat::bf16, KvFormat::fp8_e4m3, KvFormat::int8, KvFormat::int4})
    expect_close(random_checkpoint(tiny_config("qwen3")), Precision::bf16, format,
                 format == KvFormat::int4 ? kernels::kKvExact + kernels::kKvGroup + 10 : 40,
                 std::string(name(format)));
}

// One kind for all linears whose columns its groups divide.
TEST(EmulatedCuda, EveryKindOfWeight) {
  base::Json json = tiny_config("llama");
  json["hidden_size"] = json["intermediate_size"] = 64;
  json["head_dim"] = 16;
  json["num_attention_heads"] = 4;
  json["num_hidden_layers"] = 1;
  for (const cases::WeightKind& kind : cases::weight_kinds()) {
    if (kind.name == "odd_group") continue;
    const auto checkpoint = random_checkpoint(json);
    uint64_t seed = 0;
    for (auto& [module, matrix] : checkpoint->matrices)
      if (module.starts_with("model.layers."))
        matrix = cases::random_matrix(kind, matrix.rows, matrix.cols, ++seed);
    expect_close(checkpoint, Precision::bf16, std::nullopt, 12, kind.name);
  }
}

// Tokens drawn at temperature 0 are the largest logits; otherwise they follow from their draw alone.
TEST(EmulatedCuda, NextTokensAreTheLargestLogits) {
  const Runner r(random_checkpoint(tiny_config("qwen3")), kernels::cuda::emulated_set(), Precision::bf16);
  std::vector<KvCache> caches;
  std::vector<int32_t> want, tokens, next(3);
  for (int i = 0; i < 3; ++i) {
    const auto prompt = some_tokens(5 + 20 * i, static_cast<uint64_t>(i));
    KvCache alone = r.cache(64);
    caches.push_back(r.cache(50));
    r.run(prompt, alone, Phase::prefill);
    r.run(prompt, caches.back(), Phase::prefill);
    tokens.push_back(i);
    const auto logits = r.logits(r.run({&tokens.back(), 1}, alone, Phase::decode), Phase::decode);
    want.push_back(static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
  }
  std::vector<Segment> segments;
  for (KvCache& cache : caches) segments.push_back({&cache, 1});
  r.model->next_tokens(tokens, segments, next.data());
  EXPECT_EQ(next, want);
  EXPECT_EQ(caches[2].length(), 46);
  const auto again = [&](std::span<const kernels::Draw> draws) {
    for (KvCache& cache : caches) cache.truncate(cache.length() - 1);
    std::vector<int32_t> drawn(3);
    r.model->draw_tokens(tokens, segments, draws, drawn.data());
    return drawn;
  };
  EXPECT_EQ(again(std::vector<kernels::Draw>(3)), want);
  EXPECT_EQ(again(std::vector<kernels::Draw>(3, {.temperature = 9, .top_k = 1, .chance = 0.9})), want);
  const kernels::Draw hot = {.temperature = 100, .chance = 0.999};
  const std::vector<int32_t> drawn = again(std::vector{hot, {}, hot});
  EXPECT_EQ(drawn[1], want[1]);
  EXPECT_GT(drawn[0], 80);  // nearly all of 97 tokens alike, the last ones
}

}  // namespace
}  // namespace aquatint::model
