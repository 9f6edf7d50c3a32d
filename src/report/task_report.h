// All comparisons that a store of task results holds: which models ran which tasks, and each model against
// one of them, item by item.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "eval/comparison.h"
#include "report/task_store.h"

namespace aquatint::report {

// A model's results, and its reference's on the first of the same tasks.
struct TaskEvaluation {
  std::vector<eval::TaskResult> results, reference_results;
  std::optional<eval::Comparison> comparison;
};

struct TaskModel {
  std::string label;  // its name, made unique among those of the store
  std::string name, sha256;
  std::string arithmetic;  // kernels, precision, cache; or the program that ran it
  bool chat = false;
  std::string version, cpu, date;  // of its last result
  TaskEvaluation tasks;            // without a comparison: the reference, or nothing to compare
};

struct TaskReport {
  std::string source;  // where the results come from
  std::vector<TaskModel> models;
  std::optional<size_t> reference;
  std::string reference_reason;
  std::vector<std::string> notes;  // sentences
};

// `reference`: a model's label, name, last part of its name, or the beginning of its SHA-256; "": the first
// one that ran in FP32, or else the first. BadUsage when it is none of them or several.
TaskReport task_report(const TaskStore& store, const std::string& source, const std::string& reference = "");

}  // namespace aquatint::report
