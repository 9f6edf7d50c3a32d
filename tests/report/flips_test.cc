#include "report/flips.h"

#include <gmock/gmock.h>

#include "base/file.h"
#include "report/files.h"
#include "sample_study.h"

namespace aquatint::report {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

// The row's answers to a task, as the study's store of items keeps them.
TaskRecord record(const StudyRow& row, const TaskResult& task) {
  TaskRecord r = {.model_sha256 = row.scheme, .task_sha256 = task.name, .settings = "{}"};
  r.model = row_name(row);
  r.result.name = task.name;
  eval::Metric metric;
  metric.name = "acc";
  for (const uint8_t right : task.correct) {
    r.result.items.push_back({{right ? -1.0 : -3.0, -2.0}, false, "", {}});
    r.result.texts.push_back({std::ssize(r.result.items), "Why?", {"right", "wrong"}});
    metric.values.push_back(right);
    metric.weights.push_back(1);
  }
  r.result.n = std::ssize(r.result.items);
  r.result.metrics = {metric};
  return r;
}

TEST(FlipExamples, ComeFromTheItemsThatAreTheRows) {
  Study study = sample_study();
  study.rows.resize(4);
  TaskStore store;
  for (StudyRow& row : study.rows) {
    row.flips.clear();
    row.tasks.resize(2);
    for (const TaskResult& task : row.tasks) store.save(record(row, task));
  }
  study.rows[3].tasks[1].correct[0] ^= 1;  // what is stored belongs to another run
  add_flip_examples(study, store);
  EXPECT_THAT(study.rows[0].flips, IsEmpty());
  EXPECT_THAT(study.rows[3].flips, SizeIs(4));  // two lost and two gained of one task
  for (const FlipExample& flip : study.rows[3].flips) {
    EXPECT_EQ(flip.task, study.rows[3].tasks[0].name);
    const auto item = static_cast<size_t>(flip.line - 1);
    EXPECT_EQ(flip.lost, study.rows[0].tasks[0].correct[item] == 1);
    EXPECT_NE(study.rows[0].tasks[0].correct[item], study.rows[3].tasks[0].correct[item]);
    EXPECT_EQ(flip.reference, flip.lost ? "right" : "wrong");
    EXPECT_EQ(flip.model, flip.lost ? "wrong" : "right");
  }
}

TEST(StudyFiles, HoldTheSameFiguresAsJsonAndCsv) {
  const Study study = sample_study();
  const std::filesystem::path folder = testing::TempDir();
  write_report(study, folder / "study.json");
  const base::Json json = base::Json::parse(base::read_text(folder / "study.json"));
  ASSERT_EQ(json["rows"].size(), study.rows.size());
  EXPECT_EQ(json["rows"][3]["layers"].size(), study.rows[3].layers.size());
  EXPECT_EQ(json["rows"][3]["memory"][kCachePart], 23.6e6);
  EXPECT_EQ(json["rows"][3]["flips"][0]["question"], "Which of these is a mammal?");
  const std::string csv = study_csv(study);
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), std::ssize(study.rows) + 1);
  EXPECT_THAT(csv, testing::StartsWith("name,scheme,method,layout,bits_per_weight,"));
  EXPECT_THAT(csv, testing::HasSubstr(fmt::format(",{},", study.rows[4].perplexity.value)));
  EXPECT_THAT(csv, testing::HasSubstr("arc_easy acc,arc_easy acc stderr"));
}

}  // namespace
}  // namespace aquatint::report
