#include "api/peaks.h"

#include <gtest/gtest.h>

#include <cmath>

namespace aquatint::api {
namespace {

double bf16_of(const bench::Peaks& peaks) {
  for (const auto& [type, flop_s] : peaks.flop_s)
    if (type == "bf16") return flop_s;
  return NAN;
}

TEST(DataSheetPeaks, FollowTheDriversName) {
  const bench::Peaks h200 = data_sheet_peaks("NVIDIA H200");
  EXPECT_DOUBLE_EQ(h200.read_gb_s, 4800);
  EXPECT_DOUBLE_EQ(bf16_of(h200), 989.4e12);
  EXPECT_DOUBLE_EQ(data_sheet_peaks("NVIDIA H100 80GB HBM3").read_gb_s, 3350);
  EXPECT_DOUBLE_EQ(data_sheet_peaks("NVIDIA H100 PCIe").read_gb_s, 2039);
  EXPECT_DOUBLE_EQ(data_sheet_peaks("NVIDIA H100 NVL").read_gb_s, 3900);
  EXPECT_EQ(data_sheet_peaks("NVIDIA GeForce").read_gb_s, 0);
}

}  // namespace
}  // namespace aquatint::api
