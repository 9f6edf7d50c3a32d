// Tasks from JSONL files, scored as lm-evaluation-harness does: log-likelihoods of continuations, `acc` by
// their sum, `acc_norm` by their sum over the choice's length in Unicode code points.
//
// Item forms (one JSON object a line):
//   {"query", "choices": […], "gold": i}                  multiple choice: each choice as continuation of the
//   query
//   {"context_options": […], "continuation", "gold": i}   schema: the same continuation after each context
//   {"context", "continuation"}                           language modelling: right when greedy decoding
//   gives it
// Trailing spaces of context + delimiter move to the continuation; both are tokenized together and split at
// the context's length; a continuation that starts with a space gets none added. A BOS is put first where the
// tokenizer's own rule adds one. A context too long for the model loses tokens at its start.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "eval/statistics.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace aquatint::eval {

enum class TaskKind { multiple_choice, schema, language_modelling };
std::string_view task_kind_name(TaskKind kind);

struct TaskItem {
  std::vector<std::string> contexts;       // one, or one per option of a schema
  std::vector<std::string> continuations;  // one, or one per choice
  int gold = 0;
  int line = 0;  // in the file, from 1
};

struct TaskSettings {
  int shots = 0;
  std::string delimiter = " ";           // between context and continuation
  std::string example_delimiter = "\n";  // between examples
  // Accuracy of guessing; unset: the mean of 1/choices over the items (0 for language modelling).
  std::optional<double> baseline;
};

struct Task {
  std::string name;
  std::filesystem::path file;
  TaskKind kind = TaskKind::multiple_choice;
  TaskSettings settings;
  double baseline = 0;  // resolved
  std::vector<TaskItem> items;
};

// The settings of the Gauntlet v0.3 by task name; nullopt for a name not in the table (gauntlet.cc).
std::optional<TaskSettings> gauntlet_settings(std::string_view name);
std::vector<std::string_view> gauntlet_names();

// "FILE.jsonl" or "NAME=FILE", separated by commas. Settings come from `FILE.yaml` beside the file (keys
// shots, delimiter, example_delimiter, baseline), else from the table when a NAME is given, else they are the
// defaults above. `shots` ≥ 0 overrides. BadInput naming file and line for a malformed item, BadUsage for a
// name given but not known.
std::vector<Task> load_tasks(std::string_view list, int shots = -1);
Task load_task(const std::string& name, const std::filesystem::path& file, int shots = -1);

struct ItemResult {
  bool correct = false, correct_norm = false;
  std::vector<double> log_likelihoods;  // one per choice or option
};

struct TaskResult {
  std::string name;
  TaskKind kind = TaskKind::multiple_choice;
  int shots = 0;
  double baseline = 0;
  int64_t n = 0;
  double acc = 0, acc_stderr = 0;                   // stderr: √(p (1 − p) / (n − 1))
  std::optional<double> acc_norm, acc_norm_stderr;  // multiple choice
  std::optional<double> perplexity,
      perplexity_stderr;          // language modelling: exp(−mean log-likelihood of an item)
  std::vector<ItemResult> items;  // in file order, for paired statistics
  double chance_corrected() const { return (acc - baseline) / (1 - baseline); }
};

struct TaskOptions {
  int64_t limit = 0;     // the first N items; 0: all
  uint64_t seed = 1234;  // of the choice of examples
};

TaskResult run_task(model::Model& model, const text::Tokenizer& tokenizer, const Task& task,
                    const TaskOptions& options);

// The model against the reference over the same items.
struct TaskComparison {
  PairedDifference acc;  // model − reference
  McNemar mcnemar;
};
TaskComparison compare(const TaskResult& model, const TaskResult& reference);

// {"acc,none", "acc_stderr,none", "acc_norm,none", …, "n", "shots", "baseline"}; with a reference also
// "difference" {mean, stderr, low, high, p}.
base::Json to_json(const TaskResult& result, const TaskResult* reference = nullptr);

// Throws GateMissed unless the mean chance-corrected accuracy is at least `percent` % of the reference's.
void check_task_gate(double percent, const std::vector<TaskResult>& model,
                     const std::vector<TaskResult>& reference);
// The same without tasks: perplexity ≤ reference · 100 / percent.
void check_perplexity_gate(double percent, double model, double reference);

}  // namespace aquatint::eval
