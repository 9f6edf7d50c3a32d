// Task results through a store: what is there is not run again.
#pragma once
#include <string>

#include "checkpoint/checkpoint.h"
#include "eval/tasks.h"
#include "report/task_store.h"

namespace aquatint::api {

// SHA-256 over all that a checkpoint's answers follow from: weights, config (W4A16 and W4A8 have the same
// weights), tokenizer and templates.
std::string subject_sha256(const checkpoint::Checkpoint& checkpoint);

// The model that runs, as a store knows it.
struct TaskSubject {
  model::Model* model = nullptr;
  const text::Tokenizer* tokenizer = nullptr;
  std::string name, sha256;  // sha256: of the checkpoint, by subject_sha256()
  std::string arithmetic;    // what else its answers depend on: kernels, precision, cache
};

// Runs the task, or takes its answers from `store` (null: none) and scores them again; a fresh result is
// saved there.
eval::TaskResult task_result(const TaskSubject& subject, const eval::Task& task,
                             const eval::TaskOptions& options, report::TaskStore* store);

}  // namespace aquatint::api
