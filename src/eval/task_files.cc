// Reading tasks: JSONL items and the settings beside them.
#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "eval/tasks.h"

namespace aquatint::eval {
namespace {

using base::Json;

std::vector<std::string> require_strings(const Json& item, const char* key, const std::string& where) {
  const auto found = item.find(key);
  if (found == item.end() || !found->is_array() || found->size() < 2)
    throw base::BadInput(fmt::format("{}: \"{}\" must be a list of at least two texts", where, key));
  std::vector<std::string> texts;
  for (const Json& text : *found) {
    if (!text.is_string())
      throw base::BadInput(fmt::format("{}: \"{}\" holds something that is no text", where, key));
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

std::string require_text(const Json& item, const char* key, const std::string& where) {
  std::string text = base::require_string(item, key, where);
  if (text.empty()) throw base::BadInput(fmt::format("{}: \"{}\" is empty", where, key));
  return text;
}

TaskKind kind_of(const Json& item, const std::string& where) {
  if (!item.is_object()) throw base::BadInput(fmt::format("{}: expected one JSON object", where));
  if (item.contains("choices")) return TaskKind::multiple_choice;
  if (item.contains("context_options")) return TaskKind::schema;
  if (item.contains("continuation")) return TaskKind::language_modelling;
  if (item.contains("answer"))
    throw base::BadInput(
        fmt::format("{}: a generation item (\"answer\"); expected \"choices\", \"context_options\" or "
                    "\"continuation\"",
                    where));
  throw base::BadInput(
      fmt::format("{}: none of \"choices\", \"context_options\", \"continuation\" found", where));
}

TaskItem parse_item(const Json& json, TaskKind kind, int line, const std::string& where) {
  TaskItem item;
  item.line = line;
  if (kind == TaskKind::multiple_choice) {
    item.contexts = {base::require_string(json, "query", where)};
    item.continuations = require_strings(json, "choices", where);
  } else if (kind == TaskKind::schema) {
    item.contexts = require_strings(json, "context_options", where);
    item.continuations = {require_text(json, "continuation", where)};
  } else {
    item.contexts = {base::require_string(json, "context", where)};
    item.continuations = {require_text(json, "continuation", where)};
  }
  if (std::any_of(item.continuations.begin(), item.continuations.end(),
                  [](const auto& text) { return text.empty(); }))
    throw base::BadInput(fmt::format("{}: a choice is empty", where));
  const auto options = static_cast<int64_t>(std::max(item.contexts.size(), item.continuations.size()));
  if (kind != TaskKind::language_modelling)
    item.gold = static_cast<int>(base::require_int(json, "gold", where, 0, options - 1));
  return item;
}

void read_items(Task& task) {
  const std::string text = base::read_text(task.file);
  size_t begin = 0;
  for (int line = 1; begin < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view row(text.data() + begin, end - begin);
    begin = end + 1;
    if (row.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}, line {}", task.file.string(), line);
    const Json json = base::parse_json(row, where);
    const TaskKind kind = kind_of(json, where);
    if (task.items.empty()) task.kind = kind;
    if (kind != task.kind)
      throw base::BadInput(fmt::format("{}: a {} item in a file of {} items", where, task_kind_name(kind),
                                       task_kind_name(task.kind)));
    task.items.push_back(parse_item(json, kind, line, where));
  }
  if (task.items.empty()) throw base::BadInput(fmt::format("{}: no items", task.file.string()));
}

TaskSettings read_settings(const std::filesystem::path& path) {
  TaskSettings settings;
  try {
    const YAML::Node root = YAML::Load(base::read_text(path, 1 << 20));
    if (!root.IsMap()) throw base::BadInput(fmt::format("{}: expected keys and values", path.string()));
    for (const auto& entry : root) {
      const auto key = entry.first.as<std::string>();
      if (key == "shots")
        settings.shots = entry.second.as<int>();
      else if (key == "delimiter")
        settings.delimiter = entry.second.as<std::string>();
      else if (key == "example_delimiter")
        settings.example_delimiter = entry.second.as<std::string>();
      else if (key == "baseline")
        settings.baseline = entry.second.as<double>();
      else
        throw base::BadInput(
            fmt::format("{}: unknown key '{}'; known: shots, delimiter, example_delimiter, baseline",
                        path.string(), key));
    }
  } catch (const YAML::Exception& error) {
    throw base::BadInput(fmt::format("{}, line {}: {}", path.string(), error.mark.line + 1, error.msg));
  }
  if (settings.shots < 0 || !(settings.baseline.value_or(0) >= 0 && settings.baseline.value_or(0) < 1))
    throw base::BadInput(
        fmt::format("{}: shots must be at least 0, baseline from 0 to less than 1", path.string()));
  return settings;
}

double guessing(const Task& task) {
  if (task.kind == TaskKind::language_modelling) return 0;
  double sum = 0;
  for (const TaskItem& item : task.items)
    sum += 1.0 / static_cast<double>(std::max(item.contexts.size(), item.continuations.size()));
  return sum / static_cast<double>(task.items.size());
}

}  // namespace

std::string_view task_kind_name(TaskKind kind) {
  switch (kind) {
    case TaskKind::multiple_choice:
      return "multiple choice";
    case TaskKind::schema:
      return "schema";
    default:
      return "language modelling";
  }
}

Task load_task(const std::string& name, const std::filesystem::path& file, int shots) {
  Task task;
  task.name = name.empty() ? file.stem().string() : name;
  task.file = file;
  const std::filesystem::path beside = std::filesystem::path(file).replace_extension(".yaml");
  if (std::filesystem::exists(beside)) {
    task.settings = read_settings(beside);
  } else if (!name.empty()) {
    const auto known = gauntlet_settings(name);
    if (!known)
      throw base::BadUsage(fmt::format("task '{}' has no known settings; known: {}; or put them into {}",
                                       name, fmt::join(gauntlet_names(), ", "), beside.string()));
    task.settings = *known;
  }
  if (shots >= 0) task.settings.shots = shots;
  read_items(task);
  if (task.settings.shots >= static_cast<int>(task.items.size()))
    throw base::BadInput(fmt::format("{}: {} items cannot give {} examples for each", file.string(),
                                     task.items.size(), task.settings.shots));
  task.baseline = task.settings.baseline.value_or(guessing(task));
  return task;
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
      throw base::BadUsage(fmt::format("--tasks: '{}' is neither FILE.jsonl nor NAME=FILE", entry));
    tasks.push_back(load_task(name, file, shots));
    for (size_t i = 0; i + 1 < tasks.size(); ++i)
      if (tasks[i].name == tasks.back().name)
        throw base::BadUsage(fmt::format("--tasks: two tasks are called '{}'", tasks.back().name));
  }
  if (tasks.empty()) throw base::BadUsage("--tasks: no file given");
  return tasks;
}

}  // namespace aquatint::eval
