#include "eval/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/error.h"
#include "base/statistics.h"

namespace aquatint::eval {
namespace {

// Continued fraction of the incomplete beta function by Lentz's method (Abramowitz and Stegun 26.5.8).
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  double c = 1, d = 1 - (a + b) * x / (a + 1);
  d = 1 / (std::fabs(d) < kTiny ? kTiny : d);
  double result = d;
  for (int m = 1; m <= 300; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    for (const double term : {even, odd}) {
      d = 1 + term * d;
      c = 1 + term / c;
      d = 1 / (std::fabs(d) < kTiny ? kTiny : d);
      c = std::fabs(c) < kTiny ? kTiny : c;
      result *= d * c;
    }
    if (std::fabs(d * c - 1) < 1e-15) break;
  }
  return result;
}

double log_gamma(double x) {
  int sign;  // lgamma_r: lgamma writes a global
  return lgamma_r(x, &sign);
}

// Regularized incomplete beta function I_x(a, b).
double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front =
      std::exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * std::log(x) + b * std::log1p(-x));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

// x ≥ 0 with tail(x) = 1 − confidence, for a tail that falls.
template <class Tail>
double quantile_of(Tail tail, double confidence) {
  double low = 0, high = 1;
  while (tail(high) > 1 - confidence) high *= 2;
  for (int step = 0; step < 100; ++step) {
    const double middle = (low + high) / 2;
    (tail(middle) > 1 - confidence ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace

double quantile(std::vector<double>& values, double q) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  const double position = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (values[above] - values[below]) * (position - static_cast<double>(below));
}

double student_t(double confidence, double degrees_of_freedom) {
  if (!(degrees_of_freedom >= 1)) return std::numeric_limits<double>::quiet_NaN();
  return quantile_of([&](double t) { return student_p(t, degrees_of_freedom); }, confidence);
}

double normal_quantile(double confidence) {
  return quantile_of([](double z) { return std::erfc(z / std::numbers::sqrt2); }, confidence);
}

double student_p(double t, double degrees_of_freedom) {
  return incomplete_beta(degrees_of_freedom / 2, 0.5, degrees_of_freedom / (degrees_of_freedom + t * t));
}

PairedDifference paired_difference(std::span<const double> a, std::span<const double> b) {
  AQ_CHECK(a.size() == b.size(), "{} and {} values", a.size(), b.size());
  std::vector<double> difference(a.size());
  for (size_t i = 0; i < a.size(); ++i) difference[i] = a[i] - b[i];
  const base::Summary summary = base::summarize(difference);
  const double error = base::standard_error(difference);
  const double margin = student_t(0.95, static_cast<double>(a.size()) - 1) * error;
  return {summary.mean, error, summary.mean - margin, summary.mean + margin, static_cast<int64_t>(a.size())};
}

McNemar mcnemar(const std::vector<bool>& first, const std::vector<bool>& second) {
  AQ_CHECK(first.size() == second.size(), "{} and {} answers", first.size(), second.size());
  McNemar result;
  for (size_t i = 0; i < first.size(); ++i) {
    result.only_first += first[i] && !second[i];
    result.only_second += second[i] && !first[i];
  }
  // Under the null hypothesis the discordant pairs are coin flips: twice the tail of Binomial(n, ½) up to the
  // lesser.
  const auto n = static_cast<double>(result.only_first + result.only_second);
  const int64_t lesser = std::min(result.only_first, result.only_second);
  double tail = 0;
  for (int64_t k = 0; k <= lesser; ++k) {
    const auto x = static_cast<double>(k);
    tail += std::exp(log_gamma(n + 1) - log_gamma(x + 1) - log_gamma(n - x + 1) - n * std::log(2.0));
  }
  result.p = std::min(1.0, 2 * tail);
  return result;
}

}  // namespace aquatint::eval
