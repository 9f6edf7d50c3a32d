#include "plan/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>

#include "base/error.h"
#include "plan/candidate.h"
#include "plan/handover.h"
#include "plan/text.h"
#include "quant/recipe.h"

namespace aquatint::plan {
namespace {

using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;

Question question(std::vector<const char*> gpus = {"H100-80G", "A100-80G"}) {
  Question q;
  q.models = {find_shape("70B")};
  q.choices = default_choices();
  for (const char* gpu : gpus) q.devices.push_back(find_device(gpu));
  q.counts = {1, 2, 4};
  return q;
}

// Claim P3: two A100, 180 ms a token, wanted 50, ten million tokens a day.
Question story() {
  Question q = question({"A100-80G"});
  q.limits.token = 0.05;
  q.traffic.requests_per_second = 1e7 / 86400 / q.traffic.generate_tokens;
  q.prices["A100-80G"] = 2400 / 730.0 / 2;
  q.current = Current{find_choice("BF16"), "A100-80G", 2, 0.18, 0};
  return q;
}

TEST(Planner, AnswersTheOpeningStory) {
  const Answer a = answer(story());
  ASSERT_TRUE(a.chosen);
  const Candidate& c = a.candidates[*a.chosen];
  EXPECT_EQ(c.count, 1);
  EXPECT_NEAR(c.cost.per_month, 1200, 1);
  EXPECT_LE(c.loaded.token, 0.05);
  EXPECT_GT(a.payback_days, 0);
  EXPECT_THAT(a.findings, Contains(HasSubstr("reading the weights once takes 35 ms")));
  EXPECT_THAT(a.findings, Contains(HasSubstr("the server (batching, kernels, links) comes before a format")));
  EXPECT_THAT(a.findings, Contains(HasSubstr("which leaves 163 ms")));
}

TEST(Planner, SaysWhatIsClosestWhenNothingMeets) {
  Question q = story();
  q.limits.token = 1e-4;
  const Answer a = answer(q);
  EXPECT_FALSE(a.chosen);
  EXPECT_THAT(a.closest, HasSubstr("nothing meets every target; closest is"));
  EXPECT_THAT(a.closest, HasSubstr("times as much of what binds it"));
  for (const Candidate& c : a.candidates) {
    EXPECT_FALSE(c.meets());
    EXPECT_FALSE(c.reason.empty());
  }
}

TEST(Planner, SaysWhatWouldHaveToChange) {
  Question q = question({"A100-80G"});
  q.choices = {find_choice("BF16"), find_choice("W4A16")};
  const Answer a = answer(q);
  for (const Candidate& c : a.candidates) {
    if (c.choice.name != "BF16" || c.count != 1) continue;
    ASSERT_FALSE(c.misses.empty());
    EXPECT_EQ(c.misses[0].target, "memory");
    EXPECT_THAT(c.misses[0].change, HasSubstr("cards instead of 1"));
    EXPECT_THAT(c.misses[0].change, HasSubstr("W4A16 instead of BF16"));
    ASSERT_TRUE(c.offload);
    EXPECT_GT(c.offload->token_seconds, 1);
  }
}

TEST(Planner, WarnsOfTheSixCommonMistakes) {
  const Answer a = answer(question());
  for (const char* topic : {"activations", "int4", "fp8", "stale", "sensitivity", "kv-cache"})
    EXPECT_THAT(a.warnings, Contains(Field(&Warning::topic, topic)));
}

TEST(Planner, ParetoSetHoldsWhatNothingBeats) {
  const Question q = question();
  const Answer a = answer(q);
  ASSERT_FALSE(a.pareto.empty());
  for (const size_t i : a.pareto)
    for (const Candidate& other : a.candidates) {
      const Candidate& c = a.candidates[i];
      if (other.most_sequences < 1 || std::isnan(other.quality.loss())) continue;
      EXPECT_FALSE(cost_key(q, other) < cost_key(q, c) && other.loaded.token < c.loaded.token &&
                   other.quality.loss() < c.quality.loss());
    }
}

TEST(Planner, RanksByCostAmongThoseThatMeet) {
  const Question q = story();
  const Answer a = answer(q);
  for (size_t i = 1; i < a.candidates.size(); ++i) {
    const Candidate &before = a.candidates[i - 1], &after = a.candidates[i];
    EXPECT_GE(before.meets(), after.meets());
    EXPECT_LE(after.meets() ? before.cost.per_month : 0, after.cost.per_month * 1.011);
  }
}

TEST(Planner, NeedsReplicasForALargeLoad) {
  Question q = story();
  q.traffic.requests_per_second = 20;
  const Answer a = answer(q);
  ASSERT_TRUE(a.chosen);
  const Candidate& c = a.candidates[*a.chosen];
  EXPECT_GT(c.replicas, 1);
  EXPECT_GE(c.replicas * c.at_most.tokens_per_second, 20 * q.traffic.generate_tokens);
}

TEST(Planner, SweepsWithinASecond) {
  Question q = question();
  q.devices.clear();
  for (const Device& device : devices().first(10)) q.devices.push_back(device);
  q.counts = {1, 2, 3, 4, 5, 6, 7, 8};
  q.limits.token = 0.05;
  const std::clock_t start = std::clock();
  const std::vector<Candidate> all = sweep(q);
  EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, 1.0);
  EXPECT_GT(all.size(), 700u);
}

TEST(Planner, TakesQualityFromTheUsersStudy) {
  report::Study study;
  report::StudyRow baseline, row;
  baseline.scheme = "BF16";
  baseline.kind = report::RowKind::baseline;
  baseline.perplexity.value = 10;
  row.scheme = "W4A16";
  row.perplexity.value = 12.5;
  study.rows = {baseline, row};
  Question q = question();
  q.study = &study;
  q.study_model = q.models[0].name;
  for (const Candidate& c : sweep(q))
    if (c.choice.name == "W4A16") {
      EXPECT_EQ(c.quality.basis, "study");
      EXPECT_DOUBLE_EQ(c.quality.recovery, 0.8);
    } else if (c.choice.name == "W8A8") {
      EXPECT_EQ(c.quality.basis, "published");
    }
}

TEST(Planner, RefusesEmptyQuestions) {
  Question q = question();
  q.models.clear();
  EXPECT_THROW(answer(q), base::BadUsage);
  q = question();
  q.devices.clear();
  EXPECT_THROW(answer(q), base::BadUsage);
  q = question();
  q.traffic.generate_tokens = 0;
  EXPECT_THROW(answer(q), base::BadUsage);
}

TEST(Handover, RecipesAreThoseThatQuantizeTakes) {
  const Question q = question();
  for (const Candidate& c : sweep(q)) {
    if (!c.choice.quantized()) {
      EXPECT_THROW(recipe_yaml(c, q), base::BadUsage);
      continue;
    }
    const quant::Recipe recipe = quant::parse_recipe(recipe_yaml(c, q), "plan.yaml", ".");
    EXPECT_EQ(recipe.scheme, c.choice.scheme);
    EXPECT_EQ(recipe.kv, c.choice.cache);
    EXPECT_THAT(commands(c, "M", "plan.yaml"),
                HasSubstr("aquatint quantize M --recipe plan.yaml --to OUT\n"));
  }
}

TEST(Text, ShowsTableChartReasonsAndWarnings) {
  const std::string text = as_text(answer(story()));
  for (const char* part : {"quality", "logarithmic", "meets everything at the least cost",
                           "warning (kv-cache)", "to train Llama-3-70B", "played through"})
    EXPECT_THAT(text, HasSubstr(part));
}

TEST(Json, KnowsNoNaN) {
  const base::Json json = to_json(answer(question()));
  EXPECT_EQ(json.dump().find("NaN"), std::string::npos);
  EXPECT_TRUE(json["candidates"][0]["cost"]["per_month"].is_null());
  EXPECT_GT(json["candidates"][0]["memory"]["kv_tokens"].get<double>(), 0);
}

}  // namespace
}  // namespace aquatint::plan
