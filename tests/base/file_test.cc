#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>

#include "base/error.h"
#include "base/work_folder.h"

namespace aquatint::base {
namespace {
namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  int entries() const { return static_cast<int>(std::distance(fs::directory_iterator(folder_), {})); }
  fs::path folder_;
};

TEST_F(FileTest, MapsWhatWasWritten) {
  write_text(folder_ / "a", "hello");
  EXPECT_EQ(read_text(folder_ / "a"), "hello");
  write_text(folder_ / "empty", "");
  EXPECT_EQ(MappedFile(folder_ / "empty").bytes().size(), 0u);
}

TEST_F(FileTest, RefusesWhatIsNoFile) {
  EXPECT_THROW(MappedFile{folder_ / "absent"}, BadInput);
  EXPECT_THROW(MappedFile{folder_}, BadInput);
  write_text(folder_ / "big", std::string(100, 'x'));
  EXPECT_THROW(read_text(folder_ / "big", 99), BadInput);
}

TEST_F(FileTest, NothingUnderTheFinalNameWithoutCommit) {
  { AtomicFile(folder_ / "a").write("half"); }
  EXPECT_EQ(entries(), 0);
  {
    WorkFolder out(folder_ / "model");
    write_text(out.result() / "x", "1");
    EXPECT_FALSE(fs::exists(folder_ / "model"));
  }
  EXPECT_EQ(entries(), 0);
}

TEST_F(FileTest, FolderAppearsWhole) {
  {
    WorkFolder out(folder_ / "model/");
    write_text(out.result() / "x", "1");
    out.commit();
  }
  EXPECT_EQ(read_text(folder_ / "model" / "x"), "1");
  EXPECT_EQ(entries(), 1);
  EXPECT_THROW(WorkFolder(folder_ / "model"), BadUsage);
}

TEST_F(FileTest, ReplacesAtomically) {
  write_text(folder_ / "a", "old");
  AtomicFile file(folder_ / "a");
  file.write("new");
  EXPECT_EQ(read_text(folder_ / "a"), "old");
  file.commit();
  EXPECT_EQ(read_text(folder_ / "a"), "new");
}

// A file-size limit stands for a full disk: the same failing write.
TEST_F(FileTest, FailedWriteLeavesNothing) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  rlimit small = old;
  small.rlim_cur = 4096;
  setrlimit(RLIMIT_FSIZE, &small);
  EXPECT_THROW(write_text(folder_ / "a", std::string(10000, 'x')), OutOfResource);
  setrlimit(RLIMIT_FSIZE, &old);
  EXPECT_EQ(entries(), 0);
}

}  // namespace
}  // namespace aquatint::base
