#include "kernels/peaks.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <vector>

#include "base/machine.h"
#include "base/rng.h"
#include "kernels/arena.h"
#include "kernels/cpu/probes.h"
#include "kernels/cpu_features.h"

namespace aquatint::kernels {
namespace {

constexpr double kReadSeconds = 0.25, kComputeSeconds = 0.06;
constexpr int kAttempts = 3;

// Operations per second of `work(worker)`, which returns how many it did: the best of a few attempts.
double best_rate(base::ThreadPool& pool, double seconds, const std::function<double(int)>& work) {
  double best = 0;
  std::vector<double> done(static_cast<size_t>(pool.size()));
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto start = base::Clock::now();
    pool.run([&](int worker) {
      double& count = done[static_cast<size_t>(worker)] = 0;
      do count += work(worker);
      while (base::seconds_since(start) < seconds / kAttempts);
    });
    double total = 0;
    for (const double count : done) total += count;
    best = std::max(best, total / base::seconds_since(start));
  }
  return best;
}

// Random, because a unit fed with zeros runs cooler and faster. 16 bits are a BF16 of magnitude 0.5 to 1, two
// of them an FP32 of that size, and each byte is an int8.
std::vector<uint16_t> operands() {
  std::vector<uint16_t> values(kOperandBytes / sizeof(uint16_t));
  base::Rng rng(1);
  for (uint16_t& value : values) value = static_cast<uint16_t>((rng.next() & 0x807f) | 0x3f00);
  return values;
}

ComputePeak compute_peak(std::string_view type, base::ThreadPool& pool) {
  ComputePeak best;
  const std::vector<uint16_t> values = operands();
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  for (const Probe& probe : compute_probes()) {
    if (probe.type != type) continue;
    if (!std::all_of(probe.needs.begin(), probe.needs.end(), cpu_has)) continue;
    const double rate = best_rate(pool, kComputeSeconds, [&](int) { return probe.run(bytes, 1 << 16); });
    if (rate > best.flop_s) best = {rate, std::string(probe.unit)};
  }
  return best;
}

// Of one thread, of `probe`: the quickest of a few runs of some microseconds, as others can only slow them
// down.
struct QuickRate {
  const Probe* probe;
  double best = 0;
  void run(const std::byte* operands) {
    constexpr int64_t kSteps = 2048;
    const auto start = base::Clock::now();
    const double done = probe->run(operands, kSteps);
    best = std::max(best, done / base::seconds_since(start));
  }
};

const Probe* find_probe(std::string_view type, std::string_view unit) {
  for (const Probe& probe : compute_probes())
    if (probe.type == type && probe.unit == unit &&
        std::all_of(probe.needs.begin(), probe.needs.end(), cpu_has))
      return &probe;
  return nullptr;
}

const Probe& read_probe() {
  for (const Probe& probe : read_probes())
    if (std::all_of(probe.needs.begin(), probe.needs.end(), cpu_has)) return probe;
  return read_probes().back();
}

}  // namespace

uint64_t last_level_cache_bytes() {
  const long l3 = sysconf(_SC_LEVEL3_CACHE_SIZE), l2 = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return l3 > 0 ? static_cast<uint64_t>(l3) : l2 > 0 ? static_cast<uint64_t>(l2) : uint64_t{1} << 20;
}

double measure_read_gb_s(base::ThreadPool& pool, uint64_t bytes) {
  const Probe& probe = read_probe();
  const auto share = std::max<int64_t>(static_cast<int64_t>(bytes) / pool.size() / 4096 * 4096, 4096);
  const std::shared_ptr<std::byte> buffer = arena_allocate(static_cast<size_t>(share * pool.size()));
  pool.run([&](int worker) { std::memset(buffer.get() + worker * share, 1, static_cast<size_t>(share)); });
  return 1e-9 * best_rate(pool, kReadSeconds,
                          [&](int worker) { return probe.run(buffer.get() + worker * share, share); });
}

ComputePeaks measure_compute_peaks(base::ThreadPool& pool) {
  ComputePeaks peaks = {compute_peak("fp32", pool), compute_peak("bf16", pool), compute_peak("int8", pool)};
  if (peaks.bf16.flop_s < peaks.fp32.flop_s) peaks.bf16 = peaks.fp32;  // widened to FP32
  if (peaks.int8.flop_s < peaks.fp32.flop_s) peaks.int8 = peaks.fp32;
  return peaks;
}

Peaks measure_peaks(base::ThreadPool& pool) {
  Peaks peaks;
  const uint64_t cache = last_level_cache_bytes();
  peaks.memory_bytes =
      std::min(std::max<uint64_t>(uint64_t{512} << 20, 2 * cache), base::total_ram_bytes() / 8);
  peaks.cache_bytes = std::min<uint64_t>(cache / 4, uint64_t{64} << 20);
  peaks.memory_read_gb_s = measure_read_gb_s(pool, peaks.memory_bytes);
  peaks.cache_read_gb_s = measure_read_gb_s(pool, peaks.cache_bytes);
  static_cast<ComputePeaks&>(peaks) = measure_compute_peaks(pool);
  return peaks;
}

double bf16_over_fp32() {
  QuickRate bf16 = {find_probe("bf16", "vdpbf16ps zmm")}, fp32 = {find_probe("fp32", "vfmadd231ps zmm")};
  if (!bf16.probe || !fp32.probe) return 0;
  const std::vector<uint16_t> values = operands();
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  for (int i = 0; i < 5; ++i) bf16.run(bytes), fp32.run(bytes);
  return bf16.best / fp32.best;
}

}  // namespace aquatint::kernels
