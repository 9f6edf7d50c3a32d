// What this machine can do at most, measured on the spot: the yardstick of a bench.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/thread_pool.h"

namespace aquatint::bench {

struct TypePeak {
  std::string type;  // "fp32", "bf16", "int8"
  double flop_s;     // additions and multiplications count one each
};

struct Peaks {
  double read_gb_s = 0;  // 10⁹ bytes/s, all threads of the pool reading
  uint64_t read_buffer_bytes =
      0;  // what was read again and again: a buffer that fits in a cache is faster than memory
  std::vector<TypePeak> flop_s;
};

// Takes about a second. The read bandwidth is that of a buffer of `buffer_bytes`, at most 1 GiB (a model's
// bytes_per_decode(), so that weights which fit in the last-level cache are held against the cache; 0: 1 GiB,
// memory). Both are the best of many passes. OutOfResource when the buffer cannot be had.
Peaks measure_peaks(base::ThreadPool& pool, uint64_t buffer_bytes);

base::Json to_json(const Peaks& peaks);  // {read_gb_s, read_buffer_bytes, flop_s: {type: value}}

}  // namespace aquatint::bench
