#include "eval/harness_results.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "base/file.h"
#include "eval/samples.h"
#include "eval/task_identity.h"

namespace aquatint::eval {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// Made by lm-evaluation-harness itself: tests/golden/make_harness_results.py.
const std::filesystem::path kFolder = std::filesystem::path(AQUATINT_GOLDEN) / "eval/harness";
constexpr const char* kTime = "2026-01-01T00-00-00.000000";

std::string results_text() { return base::read_text(kFolder / fmt::format("results_{}.json", kTime)); }
std::string samples_text(const std::string& task) {
  return base::read_text(kFolder / fmt::format("samples_{}_{}.jsonl", task, kTime));
}

HarnessTask imported(const std::string& name) {
  for (HarnessTask& task : parse_harness_results(results_text(), "results").tasks)
    if (task.result.name == name) {
      add_harness_samples(task, samples_text(name), "samples");
      return task;
    }
  throw std::runtime_error("no task " + name);
}

// What they were scored with: our reading of the same task over the same answers.
std::vector<Metric> scored_by_us(const std::string& name, const TaskResult& answers) {
  const Task task = load_task("", kFolder / (name + ".yaml"));
  TaskResult result;
  result.items = answers.items;
  finish_result(task, result);
  return result.metrics;
}

TEST(HarnessResults, SayWhoRanAndHow) {
  const HarnessRun run = parse_harness_results(results_text(), "results");
  EXPECT_EQ(run.model, "guesser");
  EXPECT_EQ(run.version, "lm_eval 0.4.13");
  EXPECT_EQ(run.arithmetic, "lm_eval Guesser");
  EXPECT_EQ(run.date, "2026-01-01T00:00:00Z");
  EXPECT_FALSE(run.chat);
  EXPECT_THAT(run.tasks, SizeIs(4));
}

TEST(HarnessResults, GiveTheHarnessScoresItemByItem) {
  for (const auto& [name, kind] : {std::pair("choices", TaskKind::multiple_choice),
                                   {"last_word", TaskKind::language_modelling},
                                   {"pages", TaskKind::rolling},
                                   {"sums", TaskKind::generation}}) {
    const TaskResult result = imported(name).result;
    EXPECT_EQ(result.kind, kind) << name;
    EXPECT_EQ(result.n, 8) << name;
    ASSERT_THAT(result.items, SizeIs(8)) << name;
    const std::vector<Metric> ours = scored_by_us(name, result);
    ASSERT_EQ(ours.size(), result.metrics.size()) << name;
    for (size_t m = 0; m < ours.size(); ++m) {
      const Metric& metric = result.metrics[m];
      EXPECT_EQ(metric.key(), ours[m].key());
      EXPECT_EQ(metric.aggregation, ours[m].aggregation) << metric.key();
      EXPECT_EQ(metric.values, ours[m].values) << metric.key();
      EXPECT_EQ(metric.weights, ours[m].weights) << metric.key();
      EXPECT_NEAR(metric.value, ours[m].value, 1e-12 * ours[m].value) << metric.key();
    }
  }
}

TEST(HarnessResults, PairWithOurPromptsOfTheSameTask) {
  for (const char* name : {"choices", "last_word", "pages", "sums"}) {
    const Task task = load_task("", kFolder / (std::string(name) + ".yaml"));
    std::vector<std::string> items;
    for (const ItemPrompts& prompts : item_prompts(task, task.items.size(), {}))
      items.push_back(item_sha256(prompts));
    EXPECT_EQ(imported(name).items_sha256, items_sha256(items)) << name;
  }
}

TEST(HarnessResults, KeepWhatExamplesNeed) {
  const TaskResult choices = imported("choices").result;
  EXPECT_EQ(choices.shots, 1);
  EXPECT_THAT(choices.texts[0].question, testing::EndsWith("Which word is river?"));
  EXPECT_THAT(choices.texts[0].options, ElementsAre("river", "stone", "naïve"));
  EXPECT_NEAR(choices.baseline, 1.0 / 3, 1e-15);
  EXPECT_EQ(imported("sums").result.items[0].text, " it is 1.");
}

// What we write comes back as it was.
TEST(HarnessResults, OursComeBackExactly) {
  for (const char* name : {"choices", "last_word", "pages", "sums"}) {
    Task task = load_task("", kFolder / (std::string(name) + ".yaml"));
    task.baseline = 0.125;
    TaskResult result;
    result.items = imported(name).result.items;
    finish_result(task, result);
    const std::string file =
        results_record({task}, {result}, {"m", "0.1.0", "today", {{"arithmetic", "ref fp32"}}}).dump();
    std::string lines;
    for (const base::Json& record : sample_records(task, result, {})) lines += record.dump() + "\n";
    HarnessRun run = parse_harness_results(file, "results");
    EXPECT_EQ(run.version, "0.1.0");
    EXPECT_EQ(run.arithmetic, "ref fp32");
    ASSERT_THAT(run.tasks, SizeIs(1));
    add_harness_samples(run.tasks[0], lines, "samples");
    const TaskResult& again = run.tasks[0].result;
    EXPECT_EQ(again.kind, result.kind);
    EXPECT_EQ(again.baseline, 0.125);
    ASSERT_EQ(again.metrics.size(), result.metrics.size());
    for (size_t m = 0; m < result.metrics.size(); ++m) {
      EXPECT_EQ(again.metrics[m].key(), result.metrics[m].key());
      EXPECT_EQ(again.metrics[m].values, result.metrics[m].values);
      EXPECT_EQ(again.metrics[m].weights, result.metrics[m].weights);
      EXPECT_EQ(again.metrics[m].value, result.metrics[m].value);
      EXPECT_EQ(again.metrics[m].standard_error, result.metrics[m].standard_error);
    }
    for (size_t i = 0; i < result.items.size(); ++i) {
      EXPECT_EQ(again.items[i].log_likelihoods, result.items[i].log_likelihoods);
      EXPECT_EQ(again.items[i].greedy, result.items[i].greedy);
      EXPECT_EQ(again.items[i].text, result.items[i].text);
    }
  }
}

void expect_refused(const std::string& results, const std::string& samples, const std::string& part) {
  try {
    for (HarnessTask& task : parse_harness_results(results, "results").tasks)
      add_harness_samples(task, samples, "samples");
    ADD_FAILURE() << "accepted: " << part;
  } catch (const base::BadInput& error) {
    EXPECT_THAT(error.what(), HasSubstr(part));
  }
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(HarnessResults, WhatDoesNotFitIsRefused) {
  base::Json all = base::Json::parse(results_text());
  all["results"] = {{"choices", all["results"]["choices"]}};
  const std::string results = all.dump(), samples = samples_text("choices");
  const std::string last = samples.substr(samples.rfind("\n{", samples.size() - 2) + 1);
  expect_refused("{}", samples, "holds no results");
  expect_refused("[1]", samples, "holds no results");
  expect_refused(replaced(results, "\"output_type\":\"multiple_choice\"", "\"output_type\":\"riddle\""),
                 samples, "riddle");
  expect_refused(replaced(results, "\"acc,none\":0.25", "\"acc,none\":0.5"), samples, "of another run");
  expect_refused(results, samples.substr(0, samples.size() - last.size()), "7 documents");
  expect_refused(results, samples + last, "comes twice");
  expect_refused(results, "", "no records");
  expect_refused(results, replaced(samples, "\"doc_id\": 0", "\"doc_id\": -1"), "samples, line 1");
  expect_refused(results, replaced(samples, "[\"-2.1097433427348733\", \"False\"], [", "["),
                 "2 responses to 3 requests");
  expect_refused(results, replaced(samples, "\"filtered_resps\": [[\"-2.1", "\"filtered_resps\": [[\"-inf"),
                 "finite");
  expect_refused(results, replaced(samples, "\"gen_args_1\"", "\"gen_args_7\""), "gen_args_1");
  expect_refused(results, samples + "{", "samples, line 9");
}

TEST(HarnessResults, WithoutSamplesOrValuesOnlyScoresAreKnown) {
  const HarnessRun run = parse_harness_results(results_text(), "results");
  EXPECT_EQ(run.tasks[0].items_sha256, "");
  EXPECT_THAT(run.tasks[0].result.metrics[0].values, IsEmpty());
  std::string samples = samples_text("choices");
  HarnessTask task = run.tasks[0];
  add_harness_samples(task, replaced(samples, "\"acc_norm\": 0.0", "\"acc_norm\": \"n/a\""), "samples");
  EXPECT_THAT(task.result.find("acc_norm,none")->values, IsEmpty());
  EXPECT_THAT(task.result.find("acc,none")->values, SizeIs(8));
}

}  // namespace
}  // namespace aquatint::eval
