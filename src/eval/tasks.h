// Tasks in the sense of lm-evaluation-harness, scored as it scores them.
//
// A task is a list of items made from documents (JSON objects, one a line), by one of the item forms below or
// by the task's own YAML file (task_config.h). Forms, told by their keys:
//   {"query", "choices": […], "gold": i}                  multiple choice: each choice as continuation of the
//   query
//   {"context_options": […], "continuation", "gold": i}   schema: the same continuation after each context
//   {"context", "continuation"}                           language modelling: right when greedy decoding
//   gives it
//   {"context", "chain_of_thought", "answer"}             generation: the answer extracted from a greedy
//   continuation
// Rules: context and continuation are tokenized together and split at the context's length, trailing spaces
// of the context moved over; a BOS is put first where the tokenizer's own rule adds one; `acc` is by the sum
// of log-likelihoods, `acc_norm` by that sum over the choice's length in Unicode code points; a context too
// long for the model loses tokens at its start.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "eval/item_text.h"
#include "eval/task_config.h"
#include "model/model.h"
#include "runtime/chat.h"
#include "text/tokenizer.h"

namespace aquatint::eval {

struct TaskItem {
  std::string preamble;                // before the examples
  std::vector<std::string> questions;  // one, or one per option of a schema
  std::vector<std::string> choices;    // continuations: one, or one per choice; none of a generation item
  std::vector<int> gold;               // the right choices or options
  std::vector<std::string> answers;    // generation: what the extracted answer may equal
  std::string example_question, example_answer;  // as an example for other items
  int line = 0;                                  // in the file, from 1
  int64_t identity = 0;  // equal for equal documents: an item's own document is no example for it
};

struct Task {
  std::string name;
  std::filesystem::path file;
  TaskConfig config;
  double baseline = 0;  // accuracy of guessing
  std::vector<TaskItem> items;
  std::vector<TaskItem> pool;  // examples are drawn from here; empty: from the items
  int64_t duplicates = 0;      // items that repeat an earlier one
  const std::vector<TaskItem>& examples() const { return pool.empty() ? items : pool; }
};

// Entries separated by commas: FILE.jsonl | NAME=FILE | TASK.yaml | TASK.yaml=FILE. A NAME that the Gauntlet
// or the built-in tasks have brings its settings; those of FILE.yaml beside FILE come first. `shots` ≥ 0
// overrides. BadInput naming file and line for a malformed item, BadUsage for a name given but not known.
std::vector<Task> load_tasks(std::string_view list, int shots = -1);
Task load_task(const std::string& name, const std::filesystem::path& file, int shots = -1);

struct ItemResult {
  std::vector<double> log_likelihoods;  // one per choice or option
  bool greedy = false;                  // language modelling: the continuation is what greedy decoding gives
  std::string text;                     // generation: as far as the first stop string
  std::vector<int32_t> tokens;          // generated
};

// One score over all items: "acc,none", "exact_match,strict-match", "perplexity,none".
struct Metric {
  std::string name, filter = "none";
  Aggregation aggregation = Aggregation::mean;
  std::vector<double> values;   // of each item: 0 or 1, a log-likelihood
  std::vector<double> weights;  // of each item for weighted aggregations: words, bytes
  double value = 0, standard_error = 0;
  std::string key() const { return name + "," + filter; }
};

struct TaskResult {
  std::string name;
  TaskKind kind = TaskKind::multiple_choice;
  int shots = 0;
  double baseline = 0;
  int64_t n = 0;
  int64_t cut = 0;         // items whose context lost tokens at its start
  int64_t duplicates = 0;  // items that repeat an earlier one
  std::vector<Metric> metrics;
  std::vector<ItemResult> items;  // in file order, for paired statistics
  std::vector<ItemText> texts;    // of the items

  const Metric* find(std::string_view key) const;  // null when the task has no such metric
  // What comparisons and gates are about: acc, exact_match; null for perplexities alone.
  const Metric* score() const;
  double chance_corrected() const;  // of score()
};

struct TaskOptions {
  int64_t limit = 0;                    // the first N items; 0: all
  uint64_t seed = 1234;                 // of the choice of examples
  const runtime::Chat* chat = nullptr;  // its template renders the prompts
  std::vector<int32_t> stop_ids = {};   // end a generated answer (runtime::stop_ids)
  bool one_turn = false;        // with a template: examples in one message instead of turns of their own
  int64_t batch_tokens = 4096;  // context tokens in work together; results do not depend on it
};

// Fills in what follows from `items` and `cut`.
void finish_result(const Task& task, TaskResult& result);

TaskResult run_task(model::Model& model, const text::Tokenizer& tokenizer, const Task& task,
                    const TaskOptions& options);

// {"acc,none", "acc_stderr,none", …, "n", "shots", "baseline", "kind"}
base::Json to_json(const TaskResult& result);

}  // namespace aquatint::eval
