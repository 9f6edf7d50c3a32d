#include "base/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace aquatint::base {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

}  // namespace

Summary summarize(std::span<const double> values) {
  if (values.empty()) return {kNaN, kNaN, kNaN, kNaN, kNaN};
  const size_t n = values.size();
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(n);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const double median = n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
  return {mean, n > 1 ? std::sqrt(squares / static_cast<double>(n - 1)) : kNaN, median, sorted.front(),
          sorted.back()};
}

double standard_error(std::span<const double> values) {
  return summarize(values).std / std::sqrt(static_cast<double>(values.size()));
}

}  // namespace aquatint::base
