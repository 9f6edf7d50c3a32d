// A model against its reference over the same items of the same tasks.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "eval/bootstrap.h"
#include "eval/difference_histogram.h"
#include "eval/flips.h"
#include "eval/recovery.h"
#include "eval/similarity.h"
#include "eval/statistics.h"
#include "eval/tasks.h"

namespace aquatint::eval {

struct TaskComparison {
  std::string name;
  size_t task = 0;              // in the lists that were compared
  std::string metric;           // what is compared: a key of TaskResult
  PairedDifference difference;  // model − reference with its 95 % interval
  McNemar mcnemar;              // first: the model
  Flips flips;
  RecoveryEstimate recovery;
  std::optional<SimilaritySummary> similarity;  // of generated answers
};

// Over the tasks that have an accuracy.
struct Comparison {
  std::vector<TaskComparison> tasks;
  Recovery recovery;
  DifferenceHistogram differences;  // of the tasks, in accuracy points
};

// Both lists hold the same tasks over the same items. What lacks scores of its items is left out.
Comparison compare(const std::vector<TaskResult>& model, const std::vector<TaskResult>& reference,
                   uint64_t seed = 1234);

base::Json to_json(const TaskComparison& comparison);
// {"recovery": {"value", "low", "high"}, "differences": {…}}; null where it has no value.
base::Json to_json(const Comparison& comparison);

// Throws GateMissed unless the overall recovery is at least `percent` %; says how certain that is. Then
// unless generated answers are as long as nine tenths of the reference's.
void check_task_gate(double percent, const Comparison& comparison);
// The same without tasks: perplexity ≤ reference · 100 / percent.
void check_perplexity_gate(double percent, double model, double reference);

}  // namespace aquatint::eval
