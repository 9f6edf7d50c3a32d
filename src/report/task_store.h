// What models gave to every item of tasks, in SQLite: nothing is computed twice, and comparisons need no
// model.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace aquatint::report {

class Database;

struct TaskRecord {
  // The key: the same model, documents and settings give the same answers.
  std::string model_sha256, task_sha256, settings;
  std::string model, task, kind;  // names as they were given; the kind of task
  std::string version, cpu, date;
  int shots = 0;
  double baseline = 0;
  int64_t cut = 0;  // items whose context lost tokens

  struct Item {
    std::vector<double> log_likelihoods;
    bool greedy = false;
    std::string text;
    std::vector<int32_t> tokens;
  };
  std::vector<Item> items;  // in file order

  struct Score {
    std::string key;  // "acc,none"
    double value = 0, standard_error = 0;
  };
  std::vector<Score> scores;
};

class TaskStore {
 public:
  // Made when it is missing. BadInput when the file is another program's or damaged, OutOfResource when it is
  // busy or the disk full.
  explicit TaskStore(const std::filesystem::path& path);
  ~TaskStore();

  std::optional<TaskRecord> find(const std::string& model_sha256, const std::string& task_sha256,
                                 const std::string& settings);
  // Replaces a record with the same key. Whole or not at all.
  void save(const TaskRecord& record);

 private:
  std::unique_ptr<Database> database_;
};

}  // namespace aquatint::report
