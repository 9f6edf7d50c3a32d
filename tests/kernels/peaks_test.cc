#include "kernels/peaks.h"

#include <gtest/gtest.h>

#include "base/machine.h"

namespace aquatint::kernels {
namespace {

#if defined(__x86_64__)
// Additions that wait for each other: one a cycle, sixteen to a jump, so that a neighbour on the same core,
// who is fed every other cycle, does not slow them.
double clock_hz() {
  constexpr int64_t kSteps = 1 << 20;
  double best = 0;
  for (int attempt = 0; attempt < 50; ++attempt) {
    const auto start = base::Clock::now();
    int64_t sum = 0;
    for (int64_t i = 0; i < kSteps; i += 16) __asm__ volatile(".rept 16\n\tadd $1, %0\n\t.endr" : "+r"(sum));
    best = std::max(best, static_cast<double>(kSteps) / base::seconds_since(start));
  }
  return best;
}

// What a core with two multiply-add units can do at most in a cycle.
double flops_per_cycle(std::string_view unit) {
  const bool wide = unit.ends_with("zmm");
  if (unit.starts_with("vfmadd")) return wide ? 64 : 32;
  return unit.starts_with("vpdp") ? 256 : 128;
}

TEST(Peaks, NoUnitIsFasterThanItsPorts) {
  base::ThreadPool alone(1);
  const ComputePeaks peaks = measure_compute_peaks(alone);
  for (const ComputePeak& peak : {peaks.fp32, peaks.bf16, peaks.int8}) {
    if (!peak.unit.ends_with("mm")) continue;  // the portable loop, AMX
    EXPECT_LT(peak.flop_s, 1.15 * flops_per_cycle(peak.unit) * clock_hz()) << peak.unit;
  }
}
#endif

TEST(Peaks, AreMeasuredQuicklyAndInOrder) {
  base::ThreadPool pool(2);
  const auto start = base::Clock::now();
  const Peaks peaks = measure_peaks(pool);
  EXPECT_LT(base::seconds_since(start), 20);  // about one on an idle machine
  EXPECT_GT(peaks.memory_read_gb_s, 0.1);
  EXPECT_GT(peaks.cache_read_gb_s, 0.1);
  EXPECT_GT(peaks.fp32.flop_s, 1e8);
  EXPECT_GE(peaks.bf16.flop_s, peaks.fp32.flop_s);
  EXPECT_GE(peaks.int8.flop_s, peaks.fp32.flop_s);
  EXPECT_FALSE(peaks.int8.unit.empty());
  RecordProperty("memory_read_gb_s", std::to_string(peaks.memory_read_gb_s));
  RecordProperty("cache_read_gb_s", std::to_string(peaks.cache_read_gb_s));
  RecordProperty("fp32", std::to_string(peaks.fp32.flop_s) + " " + peaks.fp32.unit);
  RecordProperty("bf16", std::to_string(peaks.bf16.flop_s) + " " + peaks.bf16.unit);
  RecordProperty("int8", std::to_string(peaks.int8.flop_s) + " " + peaks.int8.unit);
}

}  // namespace
}  // namespace aquatint::kernels
