// How fast a kernel set's linears and attention run, beside the machine's peaks: what is left to gain.
// Through the public contract, on random weights of a layer of a 1-billion-parameter model.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "bench/peaks.h"
#include "kernels/ops.h"

namespace aquatint::bench {

// A rate and its share of the measured peak; NaN where it does not apply.
struct Rate {
  double value = 0, share = 0;
};

struct KernelRate {
  std::string kernel;   // "W4A16", "attention int8", …
  double bits = 0;      // packed, per weight or per cached element
  Rate decode_1;        // bytes/s: one row, weights from memory
  Rate decode_1_cache;  // the same when they lie in the last-level cache, as far as they fit
  Rate decode_8;        // bytes/s: eight rows at once, weights from memory
  Rate prefill_512;     // FLOP/s, 2 per multiply-add
};

// What the linears are measured on.
struct RateWork {
  int64_t rows = 8192, cols = 2048;  // the gate of a 1-billion-parameter Llama
  uint64_t evict_bytes = 0;          // read to empty the caches; 0: twice the last one
  kernels::Precision precision = kernels::Precision::bf16;
};

struct RateColumn {
  const char *title, *key;
  Rate KernelRate::*rate;
};
constexpr RateColumn kRateColumns[] = {{"decode GB/s", "decode_1", &KernelRate::decode_1},
                                       {"in cache GB/s", "decode_1_cache", &KernelRate::decode_1_cache},
                                       {"8 rows GB/s", "decode_8", &KernelRate::decode_8},
                                       {"prefill GFLOP/s", "prefill_512", &KernelRate::prefill_512}};

// BF16, every preset scheme and W4A16 in groups of 32, then attention over each format of the cache. Some
// seconds, several times that without vector instructions.
std::vector<KernelRate> measure_kernels(const kernels::KernelSet& set, base::ThreadPool& pool,
                                        const Peaks& peaks, const RateWork& work = {});

// Attention over one of them alone.
KernelRate measure_attention(const kernels::KernelSet& set, base::ThreadPool& pool, const Peaks& peaks,
                             kernels::KvFormat format);

base::Json to_json(
    const std::vector<KernelRate>& rates);  // the list `kernel_rates` of `bench --peaks --json`

}  // namespace aquatint::bench
