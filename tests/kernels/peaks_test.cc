#include "kernels/peaks.h"

#include <gtest/gtest.h>

#include "base/machine.h"

namespace aquatint::kernels {
namespace {

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
