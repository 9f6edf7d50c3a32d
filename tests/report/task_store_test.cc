#include "report/task_store.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
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
  TaskRecord r;
  r.model_sha256 = "m";
  r.task_sha256 = "t";
  r.settings = "{}";
  r.task = "arc";
  r.kind = "multiple choice";
  r.date = "2026-01-01T00:00:00Z";
  r.shots = 3;
  r.baseline = 0.25;
  r.cut = 1;
  r.items = {{{-1.0 / 3, -2.5e-17}, false, "", {}}, {{}, true, "naïve \"text\"\n", {1, 2, 70000}}};
  r.scores = {{"acc,none", 0.5, 0.1}};
  return r;
}

TEST_F(TaskStores, WhatIsSavedComesBackExactly) {
  TaskStore(path_).save(record());
  TaskStore again(path_);
  const auto found = again.find("m", "t", "{}");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->task, "arc");
  EXPECT_EQ(found->shots, 3);
  EXPECT_EQ(found->cut, 1);
  ASSERT_EQ(found->items.size(), 2u);
  EXPECT_EQ(found->items[0].log_likelihoods, record().items[0].log_likelihoods);
  EXPECT_TRUE(found->items[1].greedy);
  EXPECT_EQ(found->items[1].text, record().items[1].text);
  EXPECT_EQ(found->items[1].tokens, record().items[1].tokens);
  EXPECT_EQ(found->scores[0].key, "acc,none");
  for (const auto& [model, task, settings] :
       {std::tuple("x", "t", "{}"), {"m", "x", "{}"}, {"m", "t", "{1}"}})
    EXPECT_FALSE(again.find(model, task, settings));
}

TEST_F(TaskStores, ALaterResultTakesThePlaceOfOneWithItsKey) {
  TaskStore store(path_);
  store.save(record());
  TaskRecord later = record();
  later.items.pop_back();
  store.save(later);
  EXPECT_EQ(store.find("m", "t", "{}")->items.size(), 1u);
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
