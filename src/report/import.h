// Results of other programs as records of a store.
#pragma once
#include <filesystem>
#include <vector>

#include "report/task_store.h"

namespace aquatint::report {

// From a results_*.json of lm-evaluation-harness with the samples_*.jsonl beside it, or from all of a folder
// and those below it. BadInput when there is none, or one is malformed.
std::vector<TaskRecord> import_harness(const std::filesystem::path& path);

}  // namespace aquatint::report
