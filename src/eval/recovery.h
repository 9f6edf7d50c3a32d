// How much of the reference's skill a model keeps over a list of tasks. All recoveries are fractions: 1 is
// all.
//
//   recovery of a task = (mean score of the model − baseline) / (mean score of the reference − baseline)
//   overall = mean over tasks of the model's (score − baseline) / (1 − baseline), divided by the reference's
//
// Intervals are percentiles of a paired bootstrap, stratified: the items of each task are drawn anew with
// both models' scores. Items that agree leave nothing to resample, so two pairs that differ, one each way,
// join the items as in the adjusted Wald interval of Bonett and Price (2012, J. Educ. Behav. Stat. 37:479):
// two per task for its own interval, two in all for the overall one. So an interval has a width even where
// all items agree; it covers 95 % or more of the time with few flips and 93 to 97 % otherwise
// (tests/eval/recovery_test.cc).
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "eval/bootstrap.h"

namespace aquatint::eval {

struct TaskScores {
  std::vector<double> model, reference;  // of the same items, in [0, 1]
  double baseline = 0;                   // mean score of guessing, below 1
};

struct RecoveryEstimate {
  std::optional<double> value;  // unset where the reference is not better than guessing
  // Unset also where the reference is not better than guessing in some resample: a ratio whose denominator
  // may be zero has no bounds (Fieller 1954, J. R. Statist. Soc. B 16:175).
  std::optional<Interval> interval;
};

struct Recovery {
  std::vector<RecoveryEstimate> tasks;
  RecoveryEstimate overall;
  std::vector<double> resamples;  // of the overall recovery, ascending; empty where it has no interval

  // One-sided answers for gates; unset where the overall recovery has no interval.
  std::optional<double> probability_below(double recovery) const;  // share of the resamples
  std::optional<double> lower_bound(double confidence = 0.95) const;
  std::optional<double> upper_bound(double confidence = 0.95) const;
};

Recovery recovery(std::span<const TaskScores> tasks, const BootstrapOptions& options = {});

}  // namespace aquatint::eval
