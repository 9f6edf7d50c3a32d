#include "report/task_report.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "base/file.h"
#include "report/files.h"
#include "report/html.h"
#include "report/task_text.h"

namespace aquatint::report {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

struct Answers {
  std::string model, arithmetic, task;
  std::vector<int> right;
  std::string items = "same";
};

// Two options each; the first is the right one.
TaskRecord record(const Answers& a) {
  TaskRecord r;
  r.model_sha256 = "sha256 of " + a.model;
  r.task_sha256 = a.task + " " + a.items;
  r.settings = base::Json({{"arithmetic", a.arithmetic}}).dump();
  r.items_sha256 = a.items + a.task;
  r.model = a.model;
  r.version = "0.1.0";
  r.date = "2026-01-01T00:00:00Z";
  r.result.name = a.task;
  r.result.shots = 2;
  r.result.n = std::ssize(a.right);
  eval::Metric metric;
  metric.name = "acc";
  double right = 0;
  for (const int each : a.right) {
    r.result.items.push_back({{each ? -1.0 : -3.0, -2.0}, false, "", {}});
    r.result.texts.push_back({std::ssize(r.result.items), "Which <one>?", {"the first", "the second"}});
    metric.values.push_back(each);
    metric.weights.push_back(1);
    right += each;
  }
  metric.value = right / static_cast<double>(a.right.size());
  r.result.metrics = {metric};
  return r;
}

class TaskReports : public testing::Test {
 protected:
  void save(const Answers& answers) { store_.save(record(answers)); }
  TaskReport report(const std::string& reference = "") const { return task_report(store_, "it", reference); }

  TaskStore store_;
};

TEST_F(TaskReports, TheReferenceIsTheFirstInFp32UnlessNamed) {
  save({"runs/w4", "avx512 bf16 bf16", "arc", {1, 0}});
  save({"runs/base", "avx512 fp32 fp32", "arc", {1, 1}});
  save({"runs/base", "avx512 bf16 bf16", "arc", {0, 1}});
  const TaskReport all = report();
  ASSERT_EQ(all.models.size(), 3u);
  EXPECT_EQ(all.models[0].label, "w4");
  EXPECT_EQ(all.models[1].label, "base (avx512 fp32 fp32)");
  EXPECT_EQ(all.reference, 1u);
  EXPECT_THAT(task_report_text(all, 1), HasSubstr("the first that ran in FP32; --reference NAME"));
  for (const char* name : {"w4", "runs/w4", "sha256 of runs/w4"})
    EXPECT_EQ(report(name).reference, 0u) << name;
  EXPECT_EQ(report("base (avx512 bf16 bf16)").reference, 2u);
  EXPECT_THROW(report("base"), base::BadUsage);  // two of them
  EXPECT_THROW(report("w8"), base::BadUsage);
}

TEST_F(TaskReports, ComparesWhatHasTheSamePrompts) {
  save({"base", "fp32", "arc", {1, 1, 0, 1}});
  save({"base", "fp32", "copa", {1, 1}});
  save({"w4", "bf16", "copa", {1}, "fewer"});
  save({"w4", "bf16", "arc", {1, 0, 1, 0}});
  const TaskReport all = report();
  EXPECT_FALSE(all.models[0].tasks.comparison);
  const TaskEvaluation& w4 = all.models[1].tasks;
  ASSERT_TRUE(w4.comparison);
  ASSERT_EQ(w4.comparison->tasks.size(), 1u);
  EXPECT_THAT(w4.comparison->tasks[0].flips.lost, ElementsAre(1, 3));
  EXPECT_THAT(w4.comparison->tasks[0].flips.gained, ElementsAre(2));
  EXPECT_THAT(all.notes, ElementsAre(HasSubstr("copa")));
  const std::string text = task_report_text(all, 1);
  EXPECT_THAT(
      text,
      HasSubstr("arc line 2, right → wrong: Which <one>?\n  reference: the first\n  model:     the second"));
  EXPECT_THAT(text, Not(HasSubstr("line 4")));  // one of each kind
  EXPECT_EQ(task_report_json(all)["models"][1]["tasks"]["arc"]["difference"]["lost"], base::Json({1, 3}));
  EXPECT_THAT(task_report_csv(all), HasSubstr("w4,arc,4,2,\"acc,none\",0.5,0,0.75,-0.25,"));
}

TEST_F(TaskReports, OfSeveralResultsOfATaskTheLastCounts) {
  save({"base", "fp32", "arc", {1, 1}, "old"});
  save({"base", "fp32", "arc", {1, 0}});
  save({"w4", "bf16", "arc", {0, 1}, "old"});
  const TaskReport all = report();
  EXPECT_EQ(all.models[0].tasks.results.size(), 1u);
  EXPECT_EQ(all.models[0].tasks.results[0].metrics[0].value, 0.5);
  EXPECT_THAT(all.models[1].tasks.comparison->tasks[0].flips.lost,
              ElementsAre(0));  // with the one of its items
}

TEST_F(TaskReports, ResultsWithoutItemsAreShownAndNotCompared) {
  TaskRecord old = record({"w4", "bf16", "arc", {0, 1}});
  old.items_sha256 = "";
  old.result.metrics[0].values.clear();
  old.result.metrics[0].weights.clear();
  old.result.texts.clear();
  store_.save(old);
  save({"base", "fp32", "arc", {1, 1}});
  const TaskReport all = report();
  EXPECT_FALSE(all.models[0].tasks.comparison);
  EXPECT_THAT(task_report_text(all, 1), HasSubstr("did not keep the scores of items"));
}

TEST_F(TaskReports, OneModelNeedsNoReferenceAndNoneIsAnError) {
  EXPECT_THROW(report(), base::BadInput);
  save({"w4", "bf16", "arc", {0, 1}});
  EXPECT_FALSE(report().reference);
  EXPECT_THAT(task_report_text(report(), 1), Not(HasSubstr("reference")));
}

TEST_F(TaskReports, AreWrittenByTheNamesEnding) {
  save({"base", "fp32", "arc", {1, 1, 0, 1}});
  save({"<w4>", "bf16", "arc", {1, 0, 1, 0}});
  const std::filesystem::path folder = testing::TempDir();
  for (const char* name : {"tasks.html", "tasks.json", "tasks.csv"}) write_report(report(), folder / name);
  const std::string html = base::read_text(folder / "tasks.html");
  EXPECT_THAT(html, HasSubstr("&lt;w4&gt;"));
  EXPECT_THAT(html, Not(HasSubstr("<w4>")));
  EXPECT_THAT(html, HasSubstr("2 lost, 1 gained"));
  EXPECT_THAT(html, HasSubstr("Which &lt;one&gt;?"));
  EXPECT_EQ(base::Json::parse(base::read_text(folder / "tasks.json")).dump(),
            task_report_json(report()).dump());
  EXPECT_EQ(base::read_text(folder / "tasks.csv"), task_report_csv(report()));
  EXPECT_THROW(write_report(report(), folder / "tasks.pdf"), base::BadUsage);
}

}  // namespace
}  // namespace aquatint::report
