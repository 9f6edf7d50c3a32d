#include "base/processors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <thread>

#include "base/file.h"

namespace aquatint::base {
namespace {

namespace fs = std::filesystem;

TEST(Processors, AreThoseOfTheMaskEachOnce) {
  const std::vector<int> processors = allowed_processors();
  EXPECT_EQ(std::set<int>(processors.begin(), processors.end()).size(), processors.size());
  EXPECT_GE(default_threads(), 1);
  EXPECT_LE(default_threads(), usable_cpus());
  EXPECT_LE(usable_cpus(), static_cast<int>(processors.size()));
}

TEST(Processors, APinnedThreadHasOneAndItsStarterKeepsAll) {
  const std::vector<int> before = allowed_processors();
  std::thread([&] {
    pin_this_thread(before.back());
    EXPECT_EQ(allowed_processors(), std::vector<int>{before.back()});
    EXPECT_EQ(default_threads(), 1);
  }).join();
  EXPECT_EQ(allowed_processors(), before);
}

class Cgroup : public ::testing::Test {
 protected:
  Cgroup() { fs::remove_all(root_); }
  ~Cgroup() override { fs::remove_all(root_); }
  void write(const std::string& name, const std::string& text) {
    fs::create_directories((root_ / name).parent_path());
    write_text(root_ / name, text);
  }
  double cpus() { return cgroup_cpus(root_, root_ / "self"); }
  fs::path root_ = fs::path(::testing::TempDir()) / "aquatint_cgroup";
};

TEST_F(Cgroup, WithoutLimitIsInfinite) {
  write("self", "0::/a\n");
  write("a/cpu.max", "max 100000\n");
  EXPECT_EQ(cpus(), HUGE_VAL);
}

TEST_F(Cgroup, TheTightestAncestorCounts) {
  write("self", "0::/a/b\n");
  write("a/cpu.max", "150000 100000\n");
  write("a/b/cpu.max", "400000 100000\n");
  EXPECT_DOUBLE_EQ(cpus(), 1.5);
}

TEST_F(Cgroup, TheRootOfAContainerCounts) {
  write("self", "0::/\n");
  write("cpu.max", "200000 100000\n");
  EXPECT_DOUBLE_EQ(cpus(), 2);
}

TEST_F(Cgroup, VersionOneHasTwoFiles) {
  write("self", "7:memory:/m\n4:cpu,cpuacct:/job\n");
  write("cpu/cpu.cfs_quota_us", "-1\n");
  write("cpu/cpu.cfs_period_us", "100000\n");
  write("cpu/job/cpu.cfs_quota_us", "50000\n");
  write("cpu/job/cpu.cfs_period_us", "100000\n");
  EXPECT_DOUBLE_EQ(cpus(), 0.5);
}

}  // namespace
}  // namespace aquatint::base
