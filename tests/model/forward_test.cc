// What a forward pass promises whatever the weights: bits that do not depend on chunks, batches or threads,
// checks before anything runs, and windows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "fenced_set.h"
#include "runner.h"

namespace aquatint::model {
namespace {

using base::Json;
using kernels::Phase;
using kernels::Precision;
using test::random_checkpoint;
using test::Runner;
using test::some_tokens;
using test::tiny_config;

constexpr int64_t kHidden = 36;

tensor::QuantizedMatrix random_plain(int64_t rows, int64_t cols, uint64_t seed) {
  base::Rng rng(seed);
  std::vector<float> values(static_cast<size_t>(rows * cols));
  for (float& v : values) v = static_cast<float>(0.1 * rng.normal());
  return tensor::plain_matrix(values, rows, cols);
}

// Every usable kernel set in both precisions, with models that between them use every switch.
struct Case {
  const kernels::KernelSet* set;
  Precision precision;
  const char* model_type;
};

std::vector<Case> cases() {
  std::vector<Case> out;
  for (const kernels::KernelSet* set : test::usable_sets())
    for (Precision precision : {Precision::fp32, Precision::bf16})
      for (const char* type : {"llama", "mistral", "qwen2", "qwen3"}) out.push_back({set, precision, type});
  return out;
}

std::string case_name(const ::testing::TestParamInfo<Case>& info) {
  return fmt::format("{}_{}_{}", info.param.set->name,
                     info.param.precision == Precision::fp32 ? "fp32" : "bf16", info.param.model_type);
}

std::vector<float> rows_of(const std::vector<float>& hidden, int64_t begin, int64_t end) {
  return {hidden.begin() + begin * kHidden, hidden.begin() + end * kHidden};
}

class Determinism : public ::testing::TestWithParam<Case> {
 protected:
  static Runner runner(int threads = 1) {
    return Runner(random_checkpoint(tiny_config(GetParam().model_type)), *GetParam().set,
                  GetParam().precision, threads);
  }
};

TEST_P(Determinism, PrefillInAnyChunksGivesTheSameBits) {
  const Runner r = runner();
  const auto tokens = some_tokens(45);
  KvCache whole = r.cache();
  const auto want = r.run(tokens, whole, Phase::prefill);
  EXPECT_EQ(whole.length(), 45);
  for (const std::vector<int64_t>& chunks : {std::vector<int64_t>{1, 44}, {17, 16, 12}, {44, 1}, {32, 13}}) {
    KvCache cache = r.cache();
    std::vector<float> got;
    size_t at = 0;
    for (int64_t n : chunks) {
      const auto part = r.run(std::span(tokens).subspan(at, static_cast<size_t>(n)), cache, Phase::prefill);
      got.insert(got.end(), part.begin(), part.end());
      at += static_cast<size_t>(n);
    }
    EXPECT_EQ(got, want) << "first chunk " << chunks[0];
  }
}

TEST_P(Determinism, SequencesDoNotSeeEachOther) {
  const Runner r = runner();
  const std::vector<int64_t> lengths = {1, 30, 7, 19};
  std::vector<std::vector<float>> want_prefill, want_decode;
  std::vector<int32_t> prompts, next;
  std::vector<KvCache> caches;
  for (size_t i = 0; i < lengths.size(); ++i) {
    const auto tokens = some_tokens(lengths[i], i);
    KvCache alone = r.cache(64);
    want_prefill.push_back(r.run(tokens, alone, Phase::prefill));
    next.push_back(static_cast<int32_t>(i));
    want_decode.push_back(r.run({&next.back(), 1}, alone, Phase::decode));
    prompts.insert(prompts.end(), tokens.begin(), tokens.end());
    caches.push_back(r.cache(40));
  }
  std::vector<Segment> segments, steps;
  for (size_t i = 0; i < lengths.size(); ++i) {
    segments.push_back({&caches[i], lengths[i]});
    steps.push_back({&caches[i], 1});
  }
  const auto prefill = r.run(prompts, segments, Phase::prefill), decode = r.run(next, steps, Phase::decode);
  int64_t row = 0;
  for (size_t i = 0; i < lengths.size(); row += lengths[i++]) {
    EXPECT_EQ(rows_of(prefill, row, row + lengths[i]), want_prefill[i]) << "prefill of sequence " << i;
    const int64_t n = static_cast<int64_t>(i);
    EXPECT_EQ(rows_of(decode, n, n + 1), want_decode[i]) << "decode of sequence " << i;
  }
}

TEST_P(Determinism, ThreadsDoNotMatter) {
  const auto tokens = some_tokens(50);
  std::vector<float> want_hidden, want_logits;
  for (int threads : {1, 2, 3}) {
    const Runner r = runner(threads);
    KvCache cache = r.cache();
    const auto hidden = r.run(tokens, cache, Phase::prefill);
    const auto logits = r.logits(hidden);
    if (threads == 1) {
      want_hidden = hidden;
      want_logits = logits;
    }
    EXPECT_EQ(hidden, want_hidden) << threads;
    EXPECT_EQ(logits, want_logits) << threads;
  }
}

TEST_P(Determinism, TruncatingForgets) {
  const Runner r = runner();
  const auto tokens = some_tokens(40), other = some_tokens(20, 9);
  KvCache cache = r.cache();
  const auto want = r.run(tokens, cache, Phase::prefill);
  cache.truncate(25);
  r.run(other, cache, Phase::prefill);
  cache.truncate(25);
  EXPECT_EQ(r.run(std::span(tokens).subspan(25), cache, Phase::prefill), rows_of(want, 25, 40));
  cache.truncate(0);
  EXPECT_EQ(r.run(tokens, cache, Phase::prefill), want);
}

INSTANTIATE_TEST_SUITE_P(KernelSets, Determinism, ::testing::ValuesIn(cases()), case_name);

// Every usable kernel set with every format of the cache, over more tokens than int4 keeps in 16 bit.
using KvCase = std::tuple<const kernels::KernelSet*, kernels::KvFormat>;
class KvFormats : public ::testing::TestWithParam<KvCase> {
 protected:
  static Runner runner(int threads) {
    const auto& [set, format] = GetParam();
    return Runner(random_checkpoint(tiny_config("qwen3")), *set, Precision::bf16, threads, format);
  }
};

TEST_P(KvFormats, ChunksThreadsAndForgottenTokensDoNotChangeBits) {
  const auto tokens = some_tokens(400), other = some_tokens(150, 9);
  const Runner one = runner(1), two = runner(2);
  KvCache whole = one.cache(400), cut = two.cache(420, 150);
  const auto want = one.run(tokens, whole, Phase::prefill);
  two.run(std::span(tokens).first(131), cut, Phase::prefill);
  EXPECT_EQ(two.run(std::span(tokens).subspan(131, 139), cut, Phase::prefill), rows_of(want, 131, 270));
  two.run(other, cut, Phase::prefill);
  cut.truncate(270);
  EXPECT_EQ(two.run(std::span(tokens).subspan(270, 1), cut, Phase::prefill), rows_of(want, 270, 271));
  EXPECT_EQ(two.run(std::span(tokens).subspan(271), cut, Phase::prefill), rows_of(want, 271, 400));
  cut.truncate(0);
  EXPECT_EQ(two.run(tokens, cut, Phase::prefill), want);
}

TEST_P(KvFormats, AForkGoesOnAsTheCacheItself) {
  const auto& [set, format] = GetParam();
  if (!KvCache::can_fork(format)) return;
  const Runner r(random_checkpoint(tiny_config("qwen3")), *set, Precision::bf16, 2, format);
  const auto tokens = some_tokens(45), other = some_tokens(9, 6);
  for (const int64_t shared : {1, 15, 16, 33}) {
    const std::span<const int32_t> prefix(tokens.data(), static_cast<size_t>(shared)),
        rest(tokens.begin() + shared, tokens.end());
    KvCache whole = r.cache(), source = r.cache(64);
    r.run(prefix, whole, Phase::prefill);
    r.run(prefix, source, Phase::prefill);
    KvCache first = source.fork(r.model->config(), 45), second = source.fork(r.model->config(), 80);
    r.run(other, second, Phase::prefill);  // goes its own way
    EXPECT_EQ(r.run(rest, first, Phase::prefill), r.run(rest, whole, Phase::prefill)) << shared;
    EXPECT_EQ(first.length(), 45);
    EXPECT_EQ(source.length(), shared);
  }
}

std::vector<KvCase> kv_cases() {
  std::vector<KvCase> out;
  for (const kernels::KernelSet* set : test::usable_sets())
    for (const kernels::KvFormat format : {kernels::KvFormat::bf16, kernels::KvFormat::fp8_e4m3,
                                           kernels::KvFormat::int8, kernels::KvFormat::int4})
      out.emplace_back(set, format);
  return out;
}
INSTANTIATE_TEST_SUITE_P(KernelSets, KvFormats, ::testing::ValuesIn(kv_cases()), [](const auto& info) {
  return fmt::format("{}_{}", std::get<0>(info.param)->name, kernels::name(std::get<1>(info.param)));
});

// More rows than go through the decoder at once.
TEST(Forward, LongPromptsGoThroughInPieces) {
  Json config = tiny_config("qwen3");
  config["num_hidden_layers"] = 1;
  const Runner r(random_checkpoint(config), kernels::kernel_set("ref"), Precision::fp32);
  const auto tokens = some_tokens(1100);
  KvCache a = r.cache(1100), b = r.cache(1100), c = r.cache(1100);
  const auto want = r.run(tokens, a, Phase::prefill);
  std::vector<int32_t> both(tokens.begin(), tokens.begin() + 300);
  both.insert(both.end(), tokens.begin(), tokens.end());
  const Segment segments[] = {{&b, 300}, {&c, 1100}};
  const auto got = r.run(both, segments, Phase::prefill);
  EXPECT_EQ(rows_of(got, 0, 300), rows_of(want, 0, 300));
  EXPECT_EQ(rows_of(got, 300, 1400), want);
  EXPECT_EQ(b.length(), 300);
  EXPECT_EQ(c.length(), 1100);
}

TEST(Forward, LastRowsAndNextTokensAreThoseOfAForwardPass) {
  for (const kernels::KernelSet* set : {&kernels::kernel_set("scalar"), &test::fenced_set()}) {
    const Runner r(random_checkpoint(tiny_config("qwen3")), *set, Precision::bf16, 2);
    const auto tokens = some_tokens(250);
    KvCache a = r.cache(), b = r.cache(), c = r.cache(), d = r.cache();
    const Segment whole[] = {{&a, 130}, {&b, 120}}, last[] = {{&c, 130}, {&d, 120}};
    const auto hidden = r.run(tokens, whole, Phase::prefill);
    std::vector<float> rows(2 * kHidden);
    r.model->forward_last(tokens, last, Phase::prefill, rows.data());
    EXPECT_EQ(rows_of(rows, 0, 1), rows_of(hidden, 129, 130)) << set->name;
    EXPECT_EQ(rows_of(rows, 1, 2), rows_of(hidden, 249, 250)) << set->name;

    const Segment one[] = {{&a, 1}, {&b, 1}}, again[] = {{&c, 1}, {&d, 1}};
    const std::vector<int32_t> more = {3, 5};
    const auto logits = r.logits(r.run(more, one, Phase::decode), Phase::decode);
    std::vector<int32_t> next(2);
    r.model->next_tokens(more, again, next.data());
    for (int64_t i = 0; i < 2; ++i) {
      const auto row = logits.begin() + i * 97;
      EXPECT_EQ(next[static_cast<size_t>(i)], std::max_element(row, row + 97) - row) << set->name;
    }
    EXPECT_EQ(c.length(), 131);
  }
}

TEST(Forward, ScoresAndDivergencesAreThoseOfTheLogits) {
  for (const kernels::KernelSet* set : {&kernels::kernel_set("scalar"), &test::fenced_set()}) {
    const Runner r(random_checkpoint(tiny_config("qwen3")), *set, Precision::bf16, 2);
    const Runner other(random_checkpoint(tiny_config("qwen3"), 2), *set, Precision::bf16, 2);
    const auto tokens = some_tokens(150),
               targets = some_tokens(150, 8);  // more than go through a head at once
    KvCache a = r.cache(), b = other.cache();
    const auto hidden = r.run(tokens, a, Phase::prefill), reference = other.run(tokens, b, Phase::prefill);
    const auto logits = r.logits(hidden), expected = other.logits(reference);
    std::vector<kernels::LogitStats> stats(150), want_stats(150);
    std::vector<kernels::Divergence> divergences(150), want(150);
    std::vector<float> scored(150), compared(150);
    r.model->score(hidden.data(), targets, stats.data(), scored.data());
    r.model->compare(*other.model, reference.data(), hidden.data(), targets, divergences.data(),
                     compared.data());
    const kernels::KernelSet& host = kernels::kernel_set("scalar");
    base::ThreadPool pool(1);
    host.logit_stats(logits.data(), 150, 97, want_stats.data(), pool);
    host.divergence(expected.data(), logits.data(), 150, 97, want.data(), pool);
    for (size_t i = 0; i < 150; ++i) {
      EXPECT_EQ(scored[i], logits[i * 97 + static_cast<size_t>(targets[i])]);
      EXPECT_EQ(compared[i], scored[i]);
      EXPECT_EQ(stats[i].log_sum_exp, want_stats[i].log_sum_exp);
      EXPECT_EQ(stats[i].top, want_stats[i].top);
      EXPECT_EQ(divergences[i].kl, want[i].kl) << set->name << " " << i;
    }
  }
}

TEST(Forward, ChecksBeforeItRuns) {
  const Runner r(random_checkpoint(tiny_config("llama")), kernels::kernel_set("ref"), Precision::fp32);
  KvCache small = r.cache(8), large = r.cache(64);
  const Segment segments[] = {{&large, 10}, {&small, 9}};
  EXPECT_THROW(r.run(some_tokens(19), segments, Phase::prefill), base::OutOfResource);
  EXPECT_EQ(large.length(), 0);
  const std::vector<int32_t> outside = {3, 97}, negative = {-1};
  EXPECT_THROW(r.run(outside, large, Phase::prefill), base::BadInput);
  EXPECT_THROW(r.run(negative, large, Phase::prefill), base::BadInput);
  EXPECT_THROW(r.cache(int64_t{1} << 60), base::OutOfResource);
}

TEST(Forward, WindowLimitsWhatATokenSees) {
  Json config = tiny_config("mistral");
  config["num_hidden_layers"] = 1;
  const Runner r(random_checkpoint(config), kernels::kernel_set("ref"), Precision::fp32);
  auto tokens = some_tokens(30);
  KvCache a = r.cache(), b = r.cache();
  const auto before = r.run(tokens, a, Phase::prefill);
  tokens[5] = (tokens[5] + 1) % 97;
  const auto after = r.run(tokens, b, Phase::prefill);
  const auto same = [&](int64_t row) {
    return rows_of(before, row, row + 1) == rows_of(after, row, row + 1);
  };
  EXPECT_TRUE(same(4));
  EXPECT_FALSE(same(5));
  EXPECT_FALSE(same(24));  // 5 + window − 1: the last that sees token 5
  EXPECT_TRUE(same(25));
}

// Parts that round their input differently cannot share one packed matrix, and must not have to.
TEST(Forward, MixedInputSchemes) {
  const auto checkpoint = random_checkpoint(tiny_config("qwen2"));
  const Runner plain(checkpoint, kernels::kernel_set("ref"), Precision::fp32);
  checkpoint->matrices["model.layers.1.mlp.gate_proj"].input.format = &numeric::int8;
  checkpoint->matrices["model.layers.0.self_attn.k_proj"].input.format = &numeric::int8;
  const Runner mixed(checkpoint, kernels::kernel_set("ref"), Precision::fp32);
  const auto tokens = some_tokens(12);
  KvCache a = plain.cache(), b = mixed.cache();
  const auto want = plain.run(tokens, a, Phase::prefill), got = mixed.run(tokens, b, Phase::prefill);
  double error = 0, norm = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += (got[i] - want[i]) * (got[i] - want[i]);
    norm += want[i] * want[i];
  }
  EXPECT_GT(error, 0);
  EXPECT_LT(error, 1e-3 * norm);  // an int8 input errs by 1/127 of the row's largest value at most
}

// Where the memory is a device's, nothing between the kernels may differ: models with parts in pieces,
// low-rank parts, biases, calibrated caches.
TEST(Forward, ADevicesMemoryGivesTheSameBits) {
  for (const char* type : {"qwen2", "qwen3"})
    for (const kernels::KvFormat format :
         {kernels::KvFormat::fp32, kernels::KvFormat::int8, kernels::KvFormat::int4}) {
      const auto checkpoint = random_checkpoint(tiny_config(type));
      checkpoint->matrices["model.layers.0.self_attn.k_proj"].input.format = &numeric::int8;
      for (const char* module : {"model.layers.1.mlp.up_proj", "model.layers.1.mlp.down_proj"}) {
        tensor::QuantizedMatrix& m = checkpoint->matrices[module];
        auto part = std::make_shared<tensor::LowRank>();
        part->left = random_plain(m.rows, 3, 1);
        part->right = random_plain(3, m.cols, 2);
        m.low_rank = part;
      }
      const Runner host(checkpoint, kernels::kernel_set("scalar"), Precision::bf16, 2, format);
      const Runner device(checkpoint, test::fenced_set(), Precision::bf16, 2, format);
      const auto tokens = some_tokens(250);
      KvCache a = host.cache(300), b = device.cache(300);
      EXPECT_EQ(device.run(tokens, b, Phase::prefill), host.run(tokens, a, Phase::prefill));
      const auto want = host.run(std::span(tokens).first(1), a, Phase::decode),
                 got = device.run(std::span(tokens).first(1), b, Phase::decode);
      EXPECT_EQ(got, want);
      EXPECT_EQ(device.logits(got), host.logits(want));
    }
}

}  // namespace
}  // namespace aquatint::model
