#include "base/machine.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace aquatint::base {
namespace {

TEST(Machine, PeakRamCanStartOver) {
  constexpr size_t kBytes = size_t{64} << 20;  // far above malloc's threshold: freed memory goes back at once
  const uint64_t before = ram_bytes();
  EXPECT_GT(before, 0u);
  {
    std::vector<char> block(kBytes);
    std::memset(block.data(), 1, block.size());
    EXPECT_GE(ram_bytes() + (1 << 20), before + kBytes);
  }
  EXPECT_GE(peak_ram_bytes() + (1 << 20), before + kBytes);
  reset_peak_ram();
  if (peak_ram_bytes() >= before + kBytes) return;  // this kernel does not let the peak start over
  EXPECT_LT(peak_ram_bytes(), before + kBytes / 2);
}

}  // namespace
}  // namespace aquatint::base
