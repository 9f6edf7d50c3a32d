#include "eval/bootstrap.h"

#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "base/statistics.h"

namespace aquatint::eval {
namespace {

// |mean| / standard error of a resample of values whose mean is zero; nothing when all drawn are alike.
void add_studentized(std::span<const double> centred, base::Rng& rng, std::vector<double>& found) {
  const auto n = static_cast<double>(centred.size());
  double sum = 0, squares = 0;
  for (size_t i = 0; i < centred.size(); ++i) {
    const double value = centred[rng.below(centred.size())];
    sum += value;
    squares += value * value;
  }
  const double variance = (squares - sum * sum / n) / (n - 1);
  // What rounding leaves of a variance of zero is of the order of epsilon · squares.
  if (variance > 1e-12 * squares) found.push_back(std::fabs(sum / n) / std::sqrt(variance / n));
}

}  // namespace

PairedDifference paired_bootstrap(std::span<const double> a, std::span<const double> b,
                                  const BootstrapOptions& options) {
  AQ_CHECK(a.size() == b.size(), "{} and {} values", a.size(), b.size());
  AQ_CHECK(options.resamples > 0, "{} resamples", options.resamples);
  const size_t n = a.size();
  std::vector<double> difference(n);
  for (size_t i = 0; i < n; ++i) difference[i] = a[i] - b[i];
  const double mean = base::summarize(difference).mean, error = base::standard_error(difference);
  if (n < 2) {
    constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
    return {mean, error, kNaN, kNaN, static_cast<int64_t>(n)};
  }
  for (double& value : difference) value -= mean;
  std::vector<double> studentized;
  base::Rng rng(options.seed);
  for (int r = 0; r < options.resamples; ++r) add_studentized(difference, rng, studentized);
  const double margin = studentized.empty() ? 0 : quantile(studentized, options.confidence) * error;
  return {mean, error, mean - margin, mean + margin, static_cast<int64_t>(n)};
}

}  // namespace aquatint::eval
