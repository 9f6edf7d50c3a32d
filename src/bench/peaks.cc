#include "bench/peaks.h"

#include <algorithm>

#include "bench/read_bandwidth.h"

namespace aquatint::bench {
namespace {

// Far beyond any last-level cache, small enough to be had beside a model.
constexpr uint64_t kLargestBuffer = uint64_t{1} << 30;

}  // namespace

Peaks measure_peaks(base::ThreadPool& pool, uint64_t buffer_bytes) {
  Peaks peaks;
  peaks.read_buffer_bytes = buffer_bytes == 0 ? kLargestBuffer : std::min(buffer_bytes, kLargestBuffer);
  peaks.read_gb_s = measure_read_gb_s(pool, peaks.read_buffer_bytes);
  return peaks;
}

base::Json to_json(const Peaks& peaks) {
  base::Json rates = base::Json::object();
  for (const TypePeak& peak : peaks.flop_s) rates[peak.type] = peak.flop_s;
  return {{"read_gb_s", peaks.read_gb_s}, {"read_buffer_bytes", peaks.read_buffer_bytes}, {"flop_s", rates}};
}

}  // namespace aquatint::bench
