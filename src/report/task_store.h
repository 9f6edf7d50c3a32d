// What models gave to every item of tasks, in SQLite: nothing is computed twice, and comparisons need no
// model.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "eval/tasks.h"

namespace aquatint::report {

class Database;

struct TaskRecord {
  // The key: the same model, documents and settings give the same answers.
  std::string model_sha256, task_sha256, settings;
  std::string items_sha256 = {};  // equal for results that pair item by item; "" before schema version 2
  std::string model = {};         // its name as it was given
  std::string version = {}, cpu = {}, date = {};
  eval::TaskResult result = {};
};

class TaskStore {
 public:
  // Made when it is missing, brought up to date when it is older. BadInput when the file is another program's
  // or damaged, OutOfResource when it is busy or the disk full.
  explicit TaskStore(const std::filesystem::path& path);
  // One in memory, for results that are only looked at.
  TaskStore();
  ~TaskStore();

  std::optional<TaskRecord> find(const std::string& model_sha256, const std::string& task_sha256,
                                 const std::string& settings) const;
  std::vector<TaskRecord> all() const;  // in the order they were saved
  // Replaces a record with the same key. Whole or not at all.
  void save(const TaskRecord& record);

 private:
  std::unique_ptr<Database> database_;
};

// Whether the file is a store of task results. BadInput when it is no SQLite file.
bool is_task_store(const std::filesystem::path& path);

}  // namespace aquatint::report
