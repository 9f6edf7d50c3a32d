// Differences between a model and its reference over many tasks, one number a task.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace aquatint::eval {

// In accuracy points (percent).
struct HistogramOptions {
  double bin_width = 1;
  double range = 10;  // centre of the outermost bins, a multiple of the width
  double band = 2;    // differences of at most this count as none
};

struct DifferenceHistogram {
  struct Bin {
    double centre = 0;  // a multiple of the width, so that no change lies in the middle of a bin
    int64_t count = 0;
  };
  std::vector<Bin> bins;  // ascending; the outermost also hold what lies farther out
  double share_in_band = 0;
  // Over tasks, and the two-sided p of Student's paired t-test for a mean of zero. NaN below two tasks.
  double mean = 0, standard_error = 0, p = 1;
};

DifferenceHistogram difference_histogram(std::span<const double> points,
                                         const HistogramOptions& options = {});

}  // namespace aquatint::eval
