#include "base/journal.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/float_array.h"
#include "base/work_folder.h"

namespace aquatint::base {
namespace {

namespace fs = std::filesystem;

class Kept : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              fmt::format("aquatint-kept-{}-{}", ::getpid(),
                          testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(Kept, JournalFindsWhatWasAppended) {
  const fs::path file = folder_ / "journal";
  {
    Journal journal(file);
    EXPECT_TRUE(journal.found().empty());
    journal.append({{"n", 1}});
    journal.append({{"n", 2}});
  }
  EXPECT_EQ(Journal(file).found(), (std::vector<Json>{{{"n", 1}}, {{"n", 2}}}));
}

// Cut or damaged anywhere, the records before that place are found, and more can be appended behind them.
TEST_F(Kept, JournalForgetsFromTheFirstDamageOn) {
  const fs::path file = folder_ / "journal";
  for (int n = 0; n < 3; ++n) Journal(file).append({{"n", n}});
  const std::string text = read_text(file);
  const size_t line = text.size() / 3;
  for (size_t at = 0; at < text.size(); ++at) {
    std::string damaged = text;
    damaged[at] ^= 1;
    uint64_t bytes = 0;
    EXPECT_EQ(parse_journal(damaged, bytes).size(), at / line) << at;
    EXPECT_EQ(parse_journal(text.substr(0, at), bytes).size(), at / line) << at;
    EXPECT_EQ(bytes, at / line * line);
  }
  fs::resize_file(file, text.size() - 3);
  Journal(file).append({{"n", 7}});
  EXPECT_EQ(Journal(file).found(), (std::vector<Json>{{{"n", 0}}, {{"n", 1}}, {{"n", 7}}}));
}

TEST_F(Kept, FolderAppearsWhenItIsFinished) {
  const fs::path out = folder_ / "out";
  {
    WorkFolder folder(out);
    write_text(folder.result() / "a", "1");
    write_text(folder.path() / "note", "2");
    EXPECT_THROW(WorkFolder{out}, BadUsage);  // it is being written
    folder.keep(true);
  }
  EXPECT_FALSE(fs::exists(out));
  WorkFolder again(out);
  EXPECT_EQ(read_text(again.result() / "a"), "1");
  again.commit();
  EXPECT_EQ(read_text(out / "a"), "1");
  EXPECT_FALSE(fs::exists(out / "note"));
  EXPECT_THROW(WorkFolder{out}, BadUsage);
}

TEST_F(Kept, FolderIsRemovedUnlessKept) {
  { WorkFolder folder(folder_ / "out"); }
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(Kept, ArrayHoldsItsValuesInAFile) {
  constexpr size_t kCount = 300'000;
  FloatArray array(kCount, folder_);
  EXPECT_TRUE(fs::is_empty(folder_));  // the file has no name
  for (size_t i = 0; i < kCount; ++i) array.data()[i] = static_cast<float>(i);
  array.release(0, kCount);
  const FloatArray moved = std::move(array);
  for (size_t i = 0; i < kCount; i += 1000) ASSERT_EQ(moved.values()[i], static_cast<float>(i));
  EXPECT_THROW(FloatArray(size_t{1} << 50, folder_), OutOfResource);
}

}  // namespace
}  // namespace aquatint::base
