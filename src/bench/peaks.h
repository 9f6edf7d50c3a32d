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
      0;  // read again and again: what fits in a cache comes faster than memory gives it
  std::vector<TypePeak> flop_s;
};

// All peaks, in about a second. The read bandwidth is that of a buffer of `buffer_bytes`, 0: 1 GiB.
// OutOfResource when the buffer cannot be had.
Peaks measure_peaks(base::ThreadPool& pool, uint64_t buffer_bytes = 0);

// The read bandwidth alone, over a buffer of the size that a model's decode step reads (at most 1 GiB):
// weights that fit in the last-level cache are held against the cache.
void measure_read(base::ThreadPool& pool, uint64_t buffer_bytes, Peaks& peaks);

base::Json to_json(const Peaks& peaks);  // {read_gb_s, read_buffer_bytes, flop_s: {type: value}}

}  // namespace aquatint::bench
