#include "base/energy.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace aquatint::base {
namespace {

class Energy : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(root_); }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void zone(const std::string& folder, const std::string& name, uint64_t energy, uint64_t range = 1'000'000) {
    std::filesystem::create_directories(root_ / folder);
    std::ofstream(root_ / folder / "name") << name << "\n";
    std::ofstream(root_ / folder / "energy_uj") << energy << "\n";
    std::ofstream(root_ / folder / "max_energy_range_uj") << range << "\n";
  }
  const std::filesystem::path root_ =
      std::filesystem::temp_directory_path() / ("aquatint_energy_" + std::to_string(::getpid()));
};

TEST_F(Energy, AddsPackagesAndMemoryOnly) {
  zone("intel-rapl:0", "package-0", 100);
  zone("intel-rapl:0:0", "core", 100);
  zone("intel-rapl:0:1", "dram", 100);
  zone("intel-rapl:1", "psys", 100);
  zone("intel-rapl-mmio:0", "package-0", 100);
  auto counter = EnergyCounter::start(root_);
  ASSERT_TRUE(counter);
  EXPECT_EQ(counter->joules(), 0);
  zone("intel-rapl:0", "package-0", 500'100);
  zone("intel-rapl:0:0", "core", 400'100);
  zone("intel-rapl:0:1", "dram", 250'100);
  zone("intel-rapl:1", "psys", 900'100);
  zone("intel-rapl-mmio:0", "package-0", 500'100);
  EXPECT_DOUBLE_EQ(counter->joules(), 0.75);
}

TEST_F(Energy, GoesOnWhenACounterWraps) {
  zone("intel-rapl:0", "package-0", 900'000);
  auto counter = EnergyCounter::start(root_);
  zone("intel-rapl:0", "package-0", 100'000);
  EXPECT_DOUBLE_EQ(counter->joules(), 0.2);
  zone("intel-rapl:0", "package-0", 300'000);
  EXPECT_DOUBLE_EQ(counter->joules(), 0.4);
}

TEST_F(Energy, IsAbsentWithoutReadableCounters) {
  EXPECT_FALSE(EnergyCounter::start(root_ / "nothing"));
  EXPECT_FALSE(EnergyCounter::start(root_));
  zone("intel-rapl:0", "package-0", 1);
  std::filesystem::remove(root_ / "intel-rapl:0" / "energy_uj");
  EXPECT_FALSE(EnergyCounter::start(root_));
}

}  // namespace
}  // namespace aquatint::base
