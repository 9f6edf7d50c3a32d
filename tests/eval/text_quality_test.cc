#include "eval/text_quality.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "small_model.h"

namespace aquatint::eval {
namespace {

std::vector<int32_t> random_tokens(int64_t n, int32_t vocab = 258) {
  base::Rng rng(9);
  std::vector<int32_t> tokens(static_cast<size_t>(n));
  for (int32_t& token : tokens) token = static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocab)));
  return tokens;
}

const WindowOptions kOptions = {.context = 20, .stride = 15, .score_from = 7};

TEST(TextQuality, PerplexityIsThatOfThePlainSum) {
  SmallModel small;
  const Windows windows(random_tokens(70), -1, kOptions, "text");
  ASSERT_EQ(windows.count(), 4);
  const TextResult result = evaluate_text(*small.model, windows);
  double sum = 0;
  std::vector<double> means;
  for (int64_t w = 0; w < 4; ++w) {
    const std::vector<int32_t> tokens = windows.window(w);
    const auto log_p = small.log_probabilities(tokens);
    double of_window = 0;
    for (size_t i = 7; i < 20; ++i) of_window -= log_p[i - 1][static_cast<size_t>(tokens[i])];
    means.push_back(of_window / 13);
    sum += of_window;
  }
  const double mean = sum / 52;
  EXPECT_NEAR(result.perplexity.value, std::exp(mean), 1e-9 * std::exp(mean));
  EXPECT_EQ(result.perplexity.tokens, 52);
  EXPECT_EQ(result.perplexity.windows, 4);
  double squares = 0;
  for (const double m : means) squares += (m - mean) * (m - mean);
  EXPECT_NEAR(result.perplexity.standard_error, std::exp(mean) * std::sqrt(squares / 12),
              1e-9 * std::exp(mean));
}

TEST(TextQuality, DivergenceIsThatOfThePlainSum) {
  SmallModel first(1), second(2);
  const Windows windows(random_tokens(70), -1, kOptions, "text");
  const ReferenceStates reference(*first.model, windows);
  const TextResult result = evaluate_text(*second.model, reference);
  double sum = 0, largest = 0, nll = 0;
  int same = 0;
  for (int64_t w = 0; w < windows.count(); ++w) {
    const std::vector<int32_t> tokens = windows.window(w);
    const auto p = first.log_probabilities(tokens), q = second.log_probabilities(tokens);
    for (size_t i = 6; i < 19; ++i) {
      double kld = 0;
      for (size_t v = 0; v < p[i].size(); ++v) kld += std::exp(p[i][v]) * (p[i][v] - q[i][v]);
      sum += kld;
      largest = std::max(largest, kld);
      same += std::max_element(p[i].begin(), p[i].end()) - p[i].begin() ==
              std::max_element(q[i].begin(), q[i].end()) - q[i].begin();
      nll -= q[i][static_cast<size_t>(tokens[i + 1])];
    }
  }
  ASSERT_TRUE(result.divergence);
  EXPECT_NEAR(result.divergence->mean_kld, sum / 52, 1e-9);
  EXPECT_NEAR(result.divergence->max_kld, largest, 1e-9);
  EXPECT_DOUBLE_EQ(result.divergence->same_top1, same / 52.0);
  EXPECT_NEAR(result.perplexity.value, std::exp(nll / 52), 1e-6);
  EXPECT_DOUBLE_EQ(result.divergence->reference_perplexity,
                   evaluate_text(*first.model, windows).perplexity.value);
  EXPECT_NEAR(result.divergence->log_ratio,
              std::log(result.perplexity.value / result.divergence->reference_perplexity), 1e-12);
  ASSERT_EQ(result.divergence->bins.size(), 8u);
  EXPECT_EQ(result.divergence->bins.front().first, 7);
  EXPECT_EQ(result.divergence->bins.back().last, 19);
  double binned = 0;
  for (const auto& bin : result.divergence->bins)
    binned += bin.mean_kld * static_cast<double>((bin.last - bin.first + 1) * windows.count());
  EXPECT_NEAR(binned, sum, 1e-9);
}

TEST(TextQuality, AModelDoesNotDivergeFromItself) {
  SmallModel small;
  const Windows windows(random_tokens(40), -1, {.context = 20}, "text");
  const ReferenceStates reference(*small.model, windows);
  const TextResult result = evaluate_text(*small.model, reference);
  EXPECT_EQ(result.divergence->max_kld, 0);
  EXPECT_EQ(result.divergence->same_top1, 1);
  EXPECT_EQ(result.divergence->log_ratio, 0);
  EXPECT_EQ(result.perplexity.value, reference.perplexity().value);
}

TEST(TextQuality, DoesNotDependOnThreads) {
  SmallModel one(1, kernels::Precision::bf16, 1), three(1, kernels::Precision::bf16, 3);
  const Windows windows(random_tokens(60), -1, {.context = 30}, "text");
  EXPECT_EQ(evaluate_text(*one.model, windows).perplexity.value,
            evaluate_text(*three.model, windows).perplexity.value);
}

TEST(TextQuality, OneWindowHasNoError) {
  SmallModel small;
  const Windows windows(random_tokens(20), -1, {.context = 20}, "text");
  const TextResult result = evaluate_text(*small.model, windows);
  EXPECT_TRUE(std::isnan(result.perplexity.standard_error));
  EXPECT_TRUE(base::parse_json(to_json(result).dump(), "json")["perplexity"]["stderr"].is_null());
}

TEST(TextQuality, Refusals) {
  SmallModel small, other(1, kernels::Precision::fp32, 1, small_config(300));
  EXPECT_THROW(evaluate_text(*small.model, Windows(random_tokens(100), -1, {.context = 65}, "text")),
               base::BadUsage);
  EXPECT_THROW(evaluate_text(*small.model, Windows(random_tokens(100, 2000), -1, {.context = 32}, "text")),
               base::BadInput);
  const Windows windows(random_tokens(40), -1, {.context = 20}, "text");
  const ReferenceStates reference(*small.model, windows);
  EXPECT_THROW(evaluate_text(*other.model, reference), base::BadInput);
}

TEST(TextQuality, JsonHasTheKeysOthersRelyOn) {
  SmallModel small;
  const Windows windows(random_tokens(40), -1, {.context = 20}, "text");
  const base::Json json = to_json(evaluate_text(*small.model, ReferenceStates(*small.model, windows)));
  for (const char* key : {"value", "stderr", "tokens", "context", "score_from"})
    EXPECT_TRUE(json["perplexity"].contains(key)) << key;
  for (const char* key : {"mean_kld", "mean_kld_stderr", "p99_kld", "same_top1"})
    EXPECT_TRUE(json["divergence"].contains(key)) << key;
}

}  // namespace
}  // namespace aquatint::eval
