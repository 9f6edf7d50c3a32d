// Results that lm-evaluation-harness (0.4.13) or `eval --output-path` wrote: results_<time>.json with the
// scores of tasks, samples_<task>_<time>.jsonl with what was asked and answered. Both are checked as files of
// strangers.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "eval/tasks.h"

namespace aquatint::eval {

struct HarnessTask {
  TaskResult result;         // without samples: scores alone
  std::string items_sha256;  // task_identity.h; "" without samples
};

struct HarnessRun {
  std::string model;
  std::string arithmetic;  // how the model was run, in the words of the file
  bool chat = false;
  std::string version, date;
  std::vector<HarnessTask> tasks;
};

// Scores, averages over groups of tasks left out. BadInput ("where: …") when it is no such file.
HarnessRun parse_harness_results(std::string_view text, const std::string& where);

// Fills in items from the lines of a samples file. BadInput naming the line for a malformed record, for one
// that comes twice, and when they do not give the scores of `task`.
void add_harness_samples(HarnessTask& task, std::string_view lines, const std::string& where);

}  // namespace aquatint::eval
