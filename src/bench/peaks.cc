#include "bench/peaks.h"

#include <algorithm>

#include "kernels/peaks.h"

namespace aquatint::bench {
namespace {

// Far beyond any last-level cache, small enough to be had beside a model.
constexpr uint64_t kLargestBuffer = uint64_t{1} << 30;

}  // namespace

Peaks measure_peaks(base::ThreadPool& pool, uint64_t buffer_bytes) {
  Peaks peaks;
  measure_read(pool, buffer_bytes == 0 ? kLargestBuffer : buffer_bytes, peaks);
  const kernels::ComputePeaks compute = kernels::measure_compute_peaks(pool);
  peaks.flop_s = {
      {"fp32", compute.fp32.flop_s}, {"bf16", compute.bf16.flop_s}, {"int8", compute.int8.flop_s}};
  return peaks;
}

void measure_read(base::ThreadPool& pool, uint64_t buffer_bytes, Peaks& peaks) {
  peaks.read_buffer_bytes = std::min(buffer_bytes, kLargestBuffer);
  peaks.read_gb_s = kernels::measure_read_gb_s(pool, peaks.read_buffer_bytes);
}

base::Json to_json(const Peaks& peaks) {
  base::Json rates = base::Json::object();
  for (const TypePeak& peak : peaks.flop_s) rates[peak.type] = peak.flop_s;
  return {{"read_gb_s", peaks.read_gb_s}, {"read_buffer_bytes", peaks.read_buffer_bytes}, {"flop_s", rates}};
}

}  // namespace aquatint::bench
