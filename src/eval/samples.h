// Results in the files of lm-evaluation-harness: results_<time>.json with the scores,
// samples_<task>_<time>.jsonl with one record per item and filter. Its tools for looking at and comparing
// runs read them.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "eval/tasks.h"

namespace aquatint::eval {

// {"doc_id", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "prompt_hash",
// "target_hash", …one key per metric}. `options` are those that the result was made with.
std::vector<base::Json> sample_records(const Task& task, const TaskResult& result,
                                       const TaskOptions& options);

struct RunRecord {
  std::string model, version, date;  // date: ISO 8601
  base::Json config;                 // what else says how the run was made
};
base::Json results_record(const std::vector<Task>& tasks, const std::vector<TaskResult>& results,
                          const RunRecord& run);

// Writes both kinds of file into `folder`, which is made if it is missing. Each appears whole or not at all.
void write_harness_files(const std::filesystem::path& folder, const std::vector<Task>& tasks,
                         const std::vector<TaskResult>& results, const TaskOptions& options,
                         const RunRecord& run);

}  // namespace aquatint::eval
