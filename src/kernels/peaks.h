// What this machine reaches at best, measured: the ceilings that utilization figures are fractions of.
#pragma once
#include <cstdint>
#include <string>

#include "base/thread_pool.h"

namespace aquatint::kernels {

struct ComputePeak {
  double flop_s = 0;  // operations per second (2 per multiply-add), all threads
  std::string unit;   // the instruction that reached it
};

// Best unit for each type; operands in registers.
struct ComputePeaks {
  ComputePeak fp32, bf16, int8;
};

struct Peaks : ComputePeaks {
  double memory_read_gb_s = 0;                 // from a buffer far larger than the caches
  double cache_read_gb_s = 0;                  // from one that fits the last-level cache
  uint64_t memory_bytes = 0, cache_bytes = 0;  // of the two buffers
};

uint64_t last_level_cache_bytes();

// Takes about a second. Throws OutOfResource when the buffers cannot be had.
Peaks measure_peaks(base::ThreadPool& pool);

// Its parts. A read peak is in 10⁹ bytes/s, all threads together going over a buffer of `bytes` again and
// again.
double measure_read_gb_s(base::ThreadPool& pool, uint64_t bytes);
ComputePeaks measure_compute_peaks(base::ThreadPool& pool);

// How many times as many operations a thread does by vdpbf16ps as by FP32's vfmadd231ps, both over 512 bits;
// 0 where either is lacking. Takes less than a millisecond.
double bf16_over_fp32();

}  // namespace aquatint::kernels
