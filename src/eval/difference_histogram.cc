#include "eval/difference_histogram.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/statistics.h"
#include "eval/statistics.h"

namespace aquatint::eval {

DifferenceHistogram difference_histogram(std::span<const double> points, const HistogramOptions& options) {
  const auto outermost = static_cast<int64_t>(std::lround(options.range / options.bin_width));
  AQ_CHECK(options.bin_width > 0 && outermost >= 0 && outermost < 100000, "{} bins each way", outermost);
  DifferenceHistogram found;
  for (int64_t bin = -outermost; bin <= outermost; ++bin)
    found.bins.push_back({static_cast<double>(bin) * options.bin_width, 0});
  int64_t in_band = 0;
  for (const double difference : points) {
    AQ_CHECK(std::isfinite(difference), "a difference of {}", difference);
    const auto limit = static_cast<double>(outermost);
    const double bin = std::clamp(std::round(difference / options.bin_width), -limit, limit);
    ++found.bins[static_cast<size_t>(bin + limit)].count;
    in_band += std::fabs(difference) <= options.band;
  }
  const auto n = static_cast<double>(points.size());
  found.share_in_band = static_cast<double>(in_band) / n;
  found.mean = base::summarize(points).mean;
  found.standard_error = base::standard_error(points);
  found.p =
      found.mean == 0 && found.standard_error == 0 ? 1 : student_p(found.mean / found.standard_error, n - 1);
  return found;
}

}  // namespace aquatint::eval
