#include "report/import.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "base/file.h"
#include "report/task_text.h"

namespace aquatint::report {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::SizeIs;

const fs::path kFolder = fs::path(AQUATINT_GOLDEN) / "eval/harness";
constexpr const char* kResults = "results_2026-01-01T00-00-00.000000.json";

class Imports : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "deeper");
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path folder_;
};

TEST_F(Imports, AFolderAndItsResultsFileGiveTheSame) {
  const std::vector<TaskRecord> records = import_harness(kFolder);
  ASSERT_THAT(records, SizeIs(4));
  EXPECT_THAT(import_harness(kFolder / kResults), SizeIs(4));
  for (const TaskRecord& record : records) {
    EXPECT_EQ(record.model, "guesser");
    EXPECT_THAT(record.items_sha256, SizeIs(64));
  }
}

TEST_F(Imports, AreComparedWithEachOther) {
  TaskStore store;
  for (TaskRecord record : import_harness(kFolder)) {
    store.save(record);
    record.model = record.model_sha256 = "another";
    store.save(record);
  }
  const TaskReport report = task_report(store, "imports");
  ASSERT_THAT(report.models, SizeIs(2));
  ASSERT_TRUE(report.models[1].tasks.comparison);
  const auto& tasks = report.models[1].tasks.comparison->tasks;
  ASSERT_THAT(tasks, SizeIs(3));  // perplexities have no right answers
  for (const eval::TaskComparison& task : tasks) EXPECT_EQ(task.difference.mean, 0) << task.name;
  EXPECT_EQ(tasks[2].similarity->unit, "words");
  EXPECT_EQ(tasks[2].similarity->identical.value, 1);
  EXPECT_THAT(task_report_text(report, 1), HasSubstr("words"));
}

TEST_F(Imports, WithoutSamplesScoresAlone) {
  fs::copy_file(kFolder / kResults, folder_ / "deeper" / kResults);
  const std::vector<TaskRecord> records = import_harness(folder_);
  ASSERT_THAT(records, SizeIs(4));
  EXPECT_EQ(records[0].items_sha256, "");
  EXPECT_EQ(records[0].result.metrics.size(), 2u);
}

TEST_F(Imports, PathsInNamesAndEmptyFoldersAreRefused) {
  EXPECT_THROW(import_harness(folder_), base::BadInput);
  EXPECT_THROW(import_harness(folder_ / "missing"), base::BadInput);
  base::write_text(
      folder_ / "results_x.json",
      R"({"results": {"../x": {"acc,none": 1}}, "configs": {"../x": {"output_type": "multiple_choice"}}})");
  EXPECT_THROW(import_harness(folder_), base::BadInput);
}

}  // namespace
}  // namespace aquatint::report
