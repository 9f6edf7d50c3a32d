// What comparisons need beyond base/statistics.h. All in FP64; NaN where a sample is too small to say.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace aquatint::eval {

// Quantile q in [0, 1] with linear interpolation between order statistics (numpy's default). Sorts `values`.
double quantile(std::vector<double>& values, double q);

// Two-sided quantiles: P(|T| ≤ t) = confidence for Student's t, P(|Z| ≤ z) = confidence for the normal.
double student_t(double confidence, double degrees_of_freedom);
double normal_quantile(double confidence);

// Two-sided p of Student's t: P(|T| > |t|).
double student_p(double t, double degrees_of_freedom);

struct Interval {
  double low = 0, high = 0;
};

// a − b over pairs, with the 95 % interval of Student's t.
struct PairedDifference {
  double mean = 0, standard_error = 0, low = 0, high = 0;
  int64_t n = 0;
};
PairedDifference paired_difference(std::span<const double> a, std::span<const double> b);

// McNemar's test on paired right/wrong answers, exact (binomial) and two-sided.
struct McNemar {
  int64_t only_first = 0, only_second = 0;  // right in one of the two alone
  double p = 1;
};
McNemar mcnemar(const std::vector<bool>& first, const std::vector<bool>& second);

}  // namespace aquatint::eval
