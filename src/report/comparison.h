// Rows side by side: gains over a baseline, noise, dominance. Internal to the room; verdict.h is the public
// face.
#pragma once
#include <optional>
#include <vector>

#include "report/study_data.h"

namespace aquatint::report {

// Differences of speed below this are never called better: repeats within one run do not show the drift
// between rows.
inline constexpr double kSpeedFloor = 0.03;
inline constexpr double kSizeFloor = 0.01;

// A positive quantity, its standard error, and whether more is better.
struct Axis {
  double value = kNotMeasured, error = 0;
  bool more_is_better = true;
  double floor = 0;  // relative difference that counts for nothing
  bool known() const { return std::isfinite(value); }
};

// > 0: a is better beyond noise (two standard errors of the difference, and the floor); < 0: worse; 0: level.
int compare(const Axis& a, const Axis& b);

double size_bytes(const StudyRow& row);  // of the file, or resident where no file was written
Axis size_axis(const StudyRow& row);
Axis prefill_axis(const StudyRow& row);            // at the smallest batch
Axis decode_axis(const StudyRow& row, int batch);  // batch 0: the smallest measured
int largest_batch(const StudyRow& row);            // 0 without speed
// Divergence from the reference: mean KLD, or the perplexity increase where no row was compared by
// divergence.
Axis quality_axis(const StudyRow& row, const StudyRow& reference);

// At least as good in everything measured for both and better beyond noise in something. Never without
// quality on both sides: a smaller file alone proves nothing.
bool dominates(const StudyRow& a, const StudyRow& b, const StudyRow& reference);

// Gains of `row` over `base`, > 1 is better; NaN where not measured for both.
struct Gains {
  double size = kNotMeasured, prefill = kNotMeasured, decode = kNotMeasured;
  double combined = kNotMeasured;  // geometric mean of the known ones
  double error = 0;                // relative standard error of `combined` from the repeats
};
Gains gains_over(const StudyRow& base, const StudyRow& row);

}  // namespace aquatint::report
