#include "report/import.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "eval/harness_results.h"

namespace aquatint::report {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kResults = "results_", kEnding = ".json";

bool is_results_file(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with(kResults) && name.ends_with(kEnding);
}

std::vector<fs::path> results_files(const fs::path& path) {
  if (!fs::is_directory(path)) return {path};
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(path))
    if (entry.is_regular_file() && is_results_file(entry.path())) files.push_back(entry.path());
  if (files.empty())
    throw base::BadInput(fmt::format(
        "{}: holds no results_*.json of lm-evaluation-harness, nor does a folder in it", path.string()));
  std::sort(files.begin(), files.end());
  return files;
}

// Beside results_<time>.json lies samples_<task>_<time>.jsonl, where samples were kept.
fs::path samples_file(const fs::path& results, const std::string& task) {
  std::string time = results.stem().string();
  if (time.starts_with(kResults)) time.erase(0, kResults.size());
  return results.parent_path() / fmt::format("samples_{}_{}.jsonl", task, time);
}

void add_samples(eval::HarnessTask& task, const fs::path& results) {
  if (task.result.name.find_first_of(std::string_view("/\0", 2)) != std::string::npos)
    throw base::BadInput(
        fmt::format("{}: a task's name is a path: '{}'", results.string(), task.result.name));
  const fs::path samples = samples_file(results, task.result.name);
  if (!fs::exists(samples)) {
    base::warn(
        "{}: {} is missing: its scores are shown but cannot be compared item by item; run lm_eval with "
        "--log_samples",
        task.result.name, samples.string());
    return;
  }
  eval::add_harness_samples(task, base::read_text(samples), samples.string());
}

std::string sha256(const std::string& text) { return base::sha256_hex(std::as_bytes(std::span(text))); }

std::vector<TaskRecord> import_file(const fs::path& path) {
  eval::HarnessRun run = eval::parse_harness_results(base::read_text(path), path.string());
  if (run.model.empty()) run.model = path.parent_path().filename().string();
  std::vector<TaskRecord> records;
  for (eval::HarnessTask& task : run.tasks) {
    add_samples(task, path);
    // No hash of weights is known: the name stands for the model.
    TaskRecord& record = records.emplace_back();
    record.model_sha256 = sha256("imported " + run.model);
    record.task_sha256 =
        sha256(fmt::format("imported {} {} {}", task.result.name, task.result.shots, task.items_sha256));
    record.settings = base::Json({{"arithmetic", run.arithmetic}, {"chat", run.chat}}).dump();
    record.items_sha256 = task.items_sha256;
    record.model = run.model;
    record.version = run.version;
    record.date = run.date;
    record.result = std::move(task.result);
  }
  return records;
}

}  // namespace

std::vector<TaskRecord> import_harness(const fs::path& path) {
  std::vector<TaskRecord> records;
  for (const fs::path& file : results_files(path))
    for (TaskRecord& record : import_file(file)) records.push_back(std::move(record));
  return records;
}

}  // namespace aquatint::report
