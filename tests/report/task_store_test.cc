#include "report/task_store.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "base/error.h"
#include "report/sqlite.h"
#include "report/store.h"

namespace aquatint::report {
namespace {

namespace fs = std::filesystem;

class TaskStores : public testing::Test {
 protected:
  void SetUp() override {
    path_ = fs::temp_directory_path() /
            fmt::format("aquatint-tasks-{}-{}.sqlite", ::getpid(),
                        testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove(path_);
  }
  void TearDown() override { fs::remove(path_); }
  fs::path path_;
};

TaskRecord record() {
  TaskRecord r = {.model_sha256 = "m", .task_sha256 = "t", .settings = "{}"};
  r.items_sha256 = "i";
  r.date = "2026-01-01T00:00:00Z";
  eval::TaskResult& result = r.result;
  result.name = "arc";
  result.kind = eval::TaskKind::language_modelling;
  result.shots = 3;
  result.baseline = 0.25;
  result.n = 2;
  result.cut = 1;
  result.duplicates = 1;
  result.items = {{{-1.0 / 3}, false, "", {}}, {{-2.5e-17}, true, "naïve \"text\"\n", {1, 2, 70000}}};
  result.texts = {{1, "why?", {"so"}}, {4, "naïve?", {"\"so\"\n"}}};
  eval::Metric flexible, weighted;
  flexible.name = "exact_match";
  flexible.filter = "flexible, extract";
  flexible.values = {0, 1};
  flexible.weights = {1, 1};
  flexible.value = 0.5;
  weighted.name = "bits_per_byte";
  weighted.aggregation = eval::Aggregation::bits_per_byte;
  weighted.values = {-1.0 / 3, -7};
  weighted.weights = {3, 0.1};
  weighted.standard_error = std::numeric_limits<double>::quiet_NaN();
  result.metrics = {flexible, weighted};
  return r;
}

void expect_same(const eval::Metric& a, const eval::Metric& b) {
  EXPECT_EQ(a.key(), b.key());
  EXPECT_EQ(a.aggregation, b.aggregation);
  EXPECT_EQ(a.values, b.values);
  EXPECT_EQ(a.weights, b.weights);
  EXPECT_EQ(a.value, b.value);
  EXPECT_EQ(std::isnan(a.standard_error), std::isnan(b.standard_error));
}

TEST_F(TaskStores, WhatIsSavedComesBackExactly) {
  const TaskRecord saved = record();
  TaskStore(path_).save(saved);
  TaskStore again(path_);
  const auto found = again.find("m", "t", "{}");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->items_sha256, "i");
  const eval::TaskResult &result = found->result, &expected = saved.result;
  EXPECT_EQ(result.name, "arc");
  EXPECT_EQ(result.kind, expected.kind);
  EXPECT_EQ(std::tuple(result.shots, result.n, result.cut, result.duplicates), std::tuple(3, 2, 1, 1));
  ASSERT_EQ(result.items.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(result.items[i].log_likelihoods, expected.items[i].log_likelihoods);
    EXPECT_EQ(result.items[i].greedy, expected.items[i].greedy);
    EXPECT_EQ(result.items[i].text, expected.items[i].text);
    EXPECT_EQ(result.items[i].tokens, expected.items[i].tokens);
    EXPECT_EQ(result.texts[i].line, expected.texts[i].line);
    EXPECT_EQ(result.texts[i].question, expected.texts[i].question);
    EXPECT_EQ(result.texts[i].options, expected.texts[i].options);
    expect_same(result.metrics[i], expected.metrics[i]);
  }
  for (const auto& [model, task, settings] :
       {std::tuple("x", "t", "{}"), {"m", "x", "{}"}, {"m", "t", "{1}"}})
    EXPECT_FALSE(again.find(model, task, settings));
}

TEST_F(TaskStores, ALaterResultTakesThePlaceOfOneWithItsKey) {
  TaskStore store(path_);
  store.save(record());
  TaskRecord later = record();
  later.result.name = "arc again";
  store.save(later);
  ASSERT_EQ(store.all().size(), 1u);
  EXPECT_EQ(store.all()[0].result.name, "arc again");
}

void execute(const fs::path& path, const char* sql) { Database(path, true).execute(sql); }

// A store as version 1 of the schema had it.
constexpr const char* kFirstVersion = R"sql(
CREATE TABLE task_run(
  id INTEGER PRIMARY KEY, model_sha256 TEXT NOT NULL, task_sha256 TEXT NOT NULL, settings TEXT NOT NULL, model TEXT NOT NULL,
  task TEXT NOT NULL, kind TEXT NOT NULL, version TEXT NOT NULL, cpu TEXT NOT NULL, date TEXT NOT NULL, shots INTEGER NOT NULL,
  baseline REAL NOT NULL, cut INTEGER NOT NULL, UNIQUE(model_sha256, task_sha256, settings));
CREATE TABLE task_item(
  run_id INTEGER NOT NULL REFERENCES task_run(id) ON DELETE CASCADE, i INTEGER NOT NULL, log_likelihoods TEXT NOT NULL,
  greedy INTEGER NOT NULL, text TEXT NOT NULL, tokens TEXT NOT NULL, PRIMARY KEY(run_id, i)) WITHOUT ROWID;
CREATE TABLE task_score(
  run_id INTEGER NOT NULL REFERENCES task_run(id) ON DELETE CASCADE, key TEXT NOT NULL, value REAL, stderr REAL,
  PRIMARY KEY(run_id, key)) WITHOUT ROWID;
INSERT INTO task_run VALUES(1, 'm', 't', '{}', 'model', 'arc', 'multiple choice', '0.1.0', 'cpu', 'date', 3, 0.25, 0);
INSERT INTO task_item VALUES(1, 0, '[-1.5,-2.0]', 0, '', '[]');
INSERT INTO task_score VALUES(1, 'acc,none', 1.0, NULL);
PRAGMA application_id = 1095849044;
PRAGMA user_version = 1;
)sql";

TEST_F(TaskStores, OlderOnesAreBroughtUpToDate) {
  execute(path_, kFirstVersion);
  for (int time = 0; time < 2; ++time) {
    const auto found = TaskStore(path_).find("m", "t", "{}");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->items_sha256, "");
    EXPECT_EQ(found->result.n, 1);
    EXPECT_EQ(found->result.items[0].log_likelihoods, (std::vector<double>{-1.5, -2}));
    EXPECT_EQ(found->result.metrics[0].value, 1);
    EXPECT_THAT(found->result.metrics[0].values, testing::IsEmpty());
  }
  TaskStore(path_).save(record());
  EXPECT_EQ(TaskStore(path_).find("m", "t", "{}")->items_sha256, "i");
}

TEST_F(TaskStores, WhatDoesNotFitTogetherIsRefused) {
  for (const char* damage :
       {"UPDATE task_item SET tokens = '[1e300]'", "UPDATE task_item SET log_likelihoods = '[\"a\"]'",
        "UPDATE task_item SET log_likelihoods = '[-1,-2]'", "UPDATE task_item SET text = '', tokens = '{'",
        "DELETE FROM task_item WHERE i = 1", "UPDATE task_score SET item_values = '[1]'",
        "UPDATE task_score SET aggregation = 9", "UPDATE task_run SET kind = 'riddle'",
        "UPDATE task_text SET options = '[1]'"}) {
    fs::remove(path_);
    TaskStore(path_).save(record());
    execute(path_, damage);
    EXPECT_THROW(TaskStore(path_).all(), base::BadInput) << damage;
  }
}

TEST_F(TaskStores, OtherFilesAreRefusedAndLeftAlone) {
  std::ofstream(path_) << "no database, but long enough that SQLite would look at its header: "
                          "........................................";
  EXPECT_THROW(TaskStore{path_}, base::BadInput);
  fs::remove(path_);
  { Store study(path_, Store::Mode::write); }
  EXPECT_THROW(TaskStore{path_}, base::BadInput);
}

}  // namespace
}  // namespace aquatint::report
