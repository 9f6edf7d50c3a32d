// Task results through a store: what is there is not run again.
#pragma once
#include <string>

#include "eval/tasks.h"
#include "report/task_store.h"

namespace aquatint::api {

// The model that runs, as a store knows it.
struct TaskSubject {
  model::Model* model = nullptr;
  const text::Tokenizer* tokenizer = nullptr;
  std::string name, sha256;
  std::string arithmetic;  // what else its answers depend on: kernels, precision, cache
};

// Runs the task, or takes its answers from `store` (null: none) and scores them again; a fresh result is
// saved there.
eval::TaskResult task_result(const TaskSubject& subject, const eval::Task& task,
                             const eval::TaskOptions& options, report::TaskStore* store);

}  // namespace aquatint::api
