#include "eval/flips.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace aquatint::eval {
namespace {

struct Discordance {
  double only_first, only_second, n;
  double difference() const { return (only_first - only_second) / n; }
};

// Tango's statistic for the hypothesis that the difference is `delta`: observed − expected in standard errors
// of the maximum-likelihood estimate under that hypothesis. Falls as delta grows.
double tango_score(const Discordance& d, double delta) {
  const double a = 2 * d.n;
  const double b = (2 * d.n - d.only_first + d.only_second) * delta - d.only_first - d.only_second;
  const double c = -d.only_second * delta * (1 - delta);
  const double share_of_second = (std::sqrt(std::max(0.0, b * b - 4 * a * c)) - b) / (2 * a);
  const double variance = d.n * (2 * share_of_second + delta * (1 - delta));
  const double excess = d.only_first - d.only_second - d.n * delta;
  return variance > 0 ? excess / std::sqrt(variance) : std::copysign(HUGE_VAL, excess);
}

// The largest difference that is not rejected.
double tango_high(const Discordance& d, double z) {
  double low = d.difference(), high = 1;
  for (int step = 0; step < 60; ++step) {
    const double middle = (low + high) / 2;
    (tango_score(d, middle) < -z ? high : low) = middle;
  }
  return high;
}

Interval tango(const Discordance& d, double z) {
  return {-tango_high({d.only_second, d.only_first, d.n}, z), tango_high(d, z)};
}

// Wald's interval after one more flip in either direction.
Interval bonett_price(const Discordance& d, double z) {
  const double first = (d.only_first + 1) / (d.n + 2), second = (d.only_second + 1) / (d.n + 2);
  const double difference = first - second;
  const double margin = z * std::sqrt((first + second - difference * difference) / (d.n + 2));
  return {std::max(-1.0, difference - margin), std::min(1.0, difference + margin)};
}

}  // namespace

Flips flips(const std::vector<bool>& model, const std::vector<bool>& reference) {
  AQ_CHECK(model.size() == reference.size(), "{} and {} answers", model.size(), reference.size());
  Flips found;
  for (size_t i = 0; i < model.size(); ++i)
    if (model[i] != reference[i]) (model[i] ? found.gained : found.lost).push_back(static_cast<int64_t>(i));
  return found;
}

PairedDifference paired_proportion_interval(int64_t only_first, int64_t only_second, int64_t n,
                                            double confidence) {
  AQ_CHECK(only_first >= 0 && only_second >= 0 && n >= only_first + only_second, "{} and {} flips of {}",
           only_first, only_second, n);
  if (n == 0) {
    constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
    return {kNaN, kNaN, kNaN, kNaN, 0};
  }
  const Discordance d = {static_cast<double>(only_first), static_cast<double>(only_second),
                         static_cast<double>(n)};
  const double z = normal_quantile(confidence), mean = d.difference();
  const Interval score = tango(d, z), wald = bonett_price(d, z);
  const double error = std::sqrt(((d.only_first + d.only_second) / d.n - mean * mean) / (d.n - 1));
  return {mean, error, std::min(score.low, wald.low), std::max(score.high, wald.high), n};
}

PairedDifference paired_proportion_interval(const std::vector<bool>& first, const std::vector<bool>& second,
                                            double confidence) {
  const McNemar counts = mcnemar(first, second);
  return paired_proportion_interval(counts.only_first, counts.only_second, static_cast<int64_t>(first.size()),
                                    confidence);
}

}  // namespace aquatint::eval
