// Loading tasks: which configuration belongs to which documents.
#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "eval/task_items.h"

namespace aquatint::eval {
namespace {

namespace fs = std::filesystem;

bool is_yaml(const std::string& name) { return name.ends_with(".yaml") || name.ends_with(".yml"); }

// The configuration of documents like `first`: by the name, changed by what stands beside the file.
TaskConfig choose_config(const std::string& name, const fs::path& file, const Document& first) {
  const fs::path beside = fs::path(file).replace_extension(".yaml");
  const bool has_file = fs::exists(beside);
  if (is_yaml(name)) return read_task_config(name);
  std::optional<TaskConfig> config = name.empty() ? std::nullopt : known_task(name, first);
  if (!name.empty() && !config && !has_file)
    throw base::BadUsage(fmt::format(
        "task '{}' has no known settings for documents like those of {}; known: {}; or put them into {}",
        name, file.string(), fmt::join(known_task_names(), ", "), beside.string()));
  if (!config) config = item_form(first);
  if (has_file) return read_task_config(beside, config.value_or(TaskConfig{}));
  if (!config)
    throw base::BadInput(
        fmt::format("{}: the documents have none of our item forms (\"query\" and \"choices\", "
                    "\"context_options\", \"context\" and "
                    "\"continuation\" or \"answer\"); name the task, or describe it in {}",
                    file.string(), beside.string()));
  return *config;
}

fs::path file_of(const TaskConfig& config, const std::string& split, const std::string& where) {
  if (const auto found = config.data.find(split); found != config.data.end()) return found->second;
  if (const auto found = config.data.find(""); found != config.data.end()) return found->second;
  throw base::BadInput(
      fmt::format("{}: no data file for split '{}'; name it under dataset_kwargs: data_files, or give the "
                  "task as {}=FILE.jsonl",
                  where, split, where));
}

std::vector<MetricConfig> default_metrics(TaskKind kind) {
  const auto named = [](std::initializer_list<const char*> names) {
    std::vector<MetricConfig> metrics;
    for (const char* name : names) metrics.emplace_back().name = name;
    return metrics;
  };
  switch (kind) {
    case TaskKind::language_modelling:
      return named({"perplexity", "acc"});
    case TaskKind::rolling:
      return named({"word_perplexity", "byte_perplexity", "bits_per_byte"});
    case TaskKind::generation:
      return named({"exact_match"});
    default:
      return named({"acc", "acc_norm"});
  }
}

// Which documents are the same one.
class Identities {
 public:
  int64_t of(const Document& document) {
    return numbers_.emplace(document.dump(), static_cast<int64_t>(numbers_.size())).first->second;
  }

 private:
  std::map<std::string, int64_t> numbers_;
};

double guessing(const Task& task) {
  if (task.config.kind != TaskKind::multiple_choice && task.config.kind != TaskKind::schema) return 0;
  double sum = 0;
  for (const TaskItem& item : task.items)
    sum += 1.0 / static_cast<double>(std::max(item.questions.size(), item.choices.size()));
  return sum / static_cast<double>(task.items.size());
}

struct Documents {
  fs::path file;
  std::vector<Document> all;
  std::vector<int> lines;
};

Documents read(const fs::path& file) {
  Documents documents = {file, {}, {}};
  documents.all = read_documents(file, documents.lines);
  return documents;
}

std::vector<TaskItem> make_items(const TaskConfig& config, const Documents& documents,
                                 Identities& identities) {
  std::vector<TaskItem> items;
  for (size_t i = 0; i < documents.all.size(); ++i) {
    items.push_back(make_item(config, documents.all[i],
                              fmt::format("{}, line {}", documents.file.string(), documents.lines[i])));
    items.back().line = documents.lines[i];
    items.back().identity = identities.of(documents.all[i]);
  }
  return items;
}

std::vector<TaskItem> make_samples(const Task& task, Identities& identities) {
  std::vector<TaskItem> items;
  for (const Document& sample : task.config.samples) {
    items.push_back(
        make_item(task.config, sample, fmt::format("{}: sample {}", task.name, items.size() + 1)));
    items.back().identity = identities.of(sample);
  }
  return items;
}

int64_t count_duplicates(const std::vector<TaskItem>& items) {
  int64_t seen = -1, duplicates = 0;  // identities are given in order
  for (const TaskItem& item : items) {
    duplicates += item.identity <= seen;
    seen = std::max(seen, item.identity);
  }
  return duplicates;
}

// Where examples come from, when that is not the items.
std::vector<TaskItem> read_pool(const Task& task, Identities& identities) {
  if (task.config.shots == 0) return {};
  if (!task.config.samples.empty()) return make_samples(task, identities);
  if (task.config.data.empty()) return {};
  const fs::path file = file_of(task.config, task.config.example_split(), task.name);
  return file == task.file ? std::vector<TaskItem>() : make_items(task.config, read(file), identities);
}

// In the harness a question that is the number of a choice says that choices are contexts.
void settle_kind(TaskConfig& config, const Document& first, const std::string& where) {
  if (config.kind != TaskKind::multiple_choice) return;
  if (!config.question.given() || !config.choices.given() || !config.target.given())
    throw base::BadInput(
        fmt::format("{}: a multiple-choice task needs doc_to_text, doc_to_choice and doc_to_target", where));
  const nlohmann::ordered_json question = config.question.of(first);
  if (question.is_number_integer()) config.kind = TaskKind::schema;
}

void check_shots(const Task& task) {
  const auto pool =
      std::ssize(task.examples()) - (task.pool.empty() || task.config.excludes_itself() ? 1 : 0);
  if (task.config.shots > pool)
    throw base::BadInput(fmt::format("{}: {} items cannot give {} examples for each", task.file.string(),
                                     task.examples().size(), task.config.shots));
}

Task make_task(TaskConfig config, const Documents& documents, const std::string& name, int shots) {
  Task task;
  task.file = documents.file;
  settle_kind(config, documents.all.front(), documents.file.string());
  if (shots >= 0) config.shots = shots;
  if (config.metrics.empty()) config.metrics = default_metrics(config.kind);
  if (config.until.empty()) config.until = {config.example_delimiter};  // as the harness has it
  task.name = !name.empty() ? name : !config.name.empty() ? config.name : documents.file.stem().string();
  task.config = std::move(config);
  Identities identities;
  task.items = make_items(task.config, documents, identities);
  task.duplicates = count_duplicates(task.items);
  task.pool = read_pool(task, identities);
  check_shots(task);
  task.baseline = task.config.baseline.value_or(guessing(task));
  return task;
}

}  // namespace

Task load_task(const std::string& name, const fs::path& file, int shots) {
  if (is_yaml(file.string())) {
    TaskConfig config = read_task_config(file);
    const Documents documents = read(file_of(config, config.item_split(), file.string()));
    return make_task(std::move(config), documents, name, shots);
  }
  const Documents documents = read(file);
  TaskConfig config = choose_config(name, file, documents.all.front());
  config.data[config.data.empty() ? "" : config.item_split()] = file;
  return make_task(std::move(config), documents, is_yaml(name) ? "" : name, shots);
}

std::vector<Task> load_tasks(std::string_view list, int shots) {
  std::vector<Task> tasks;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    const std::string_view entry = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    const size_t equals = entry.find('=');
    const bool named = equals != std::string_view::npos;
    const std::string name(named ? entry.substr(0, equals) : "");
    const std::string file(named ? entry.substr(equals + 1) : entry);
    if (file.empty() || (named && name.empty()))
      throw base::BadUsage(
          fmt::format("--tasks: '{}' is neither FILE.jsonl, NAME=FILE, TASK.yaml nor TASK.yaml=FILE", entry));
    tasks.push_back(load_task(name, file, shots));
    for (size_t i = 0; i + 1 < tasks.size(); ++i)
      if (tasks[i].name == tasks.back().name)
        throw base::BadUsage(fmt::format("--tasks: two tasks are called '{}'", tasks.back().name));
  }
  if (tasks.empty()) throw base::BadUsage("--tasks: no file given");
  return tasks;
}

}  // namespace aquatint::eval
