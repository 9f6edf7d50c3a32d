// Summaries of repeated measurements.
#pragma once
#include <span>

namespace aquatint::base {

// `std` is the sample standard deviation (n − 1); NaN below two values. All NaN when there are none.
struct Summary {
  double mean, std, median, min, max;
};
Summary summarize(std::span<const double> values);

// Standard error of the mean: std / √n; NaN below two values.
double standard_error(std::span<const double> values);

// Spearman's rank correlation of pairs, ties at the mean of their ranks; NaN where all of one side are alike.
double rank_correlation(std::span<const double> a, std::span<const double> b);

}  // namespace aquatint::base
