#include "report/task_report.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "base/json.h"

namespace aquatint::report {
namespace {

// What is left of a name when the folders before it are taken away.
std::string last_part(const std::string& name) {
  return std::filesystem::path(name).lexically_normal().filename().string();
}

// The records of one model in the order they were saved, and what makes them its own.
struct Subject {
  TaskModel model;
  std::vector<TaskRecord> records;
};

Subject subject_of(const TaskRecord& record, const std::string& source) {
  const base::Json settings = base::parse_json(record.settings, source);
  Subject subject;
  TaskModel& model = subject.model;
  model.name = record.model;
  model.label = last_part(record.model).empty() ? record.model : last_part(record.model);
  model.sha256 = record.model_sha256;
  model.arithmetic = base::string_or(settings, "arithmetic", "", source);
  model.chat = base::bool_or(settings, "chat", false, source);
  return subject;
}

std::vector<Subject> subjects_of(std::vector<TaskRecord> records, const std::string& source) {
  std::vector<Subject> subjects;
  std::map<std::pair<std::string, std::string>, size_t> places;
  for (TaskRecord& record : records) {
    const auto [place, is_new] = places.try_emplace({record.model_sha256, record.settings}, subjects.size());
    if (is_new) subjects.push_back(subject_of(record, source));
    Subject& subject = subjects[place->second];
    subject.model.version = record.version;
    subject.model.cpu = record.cpu;
    subject.model.date = record.date;
    subject.records.push_back(std::move(record));
  }
  return subjects;
}

void make_labels_unique(std::vector<Subject>& subjects) {
  const auto repeated = [&] {
    std::map<std::string, int> counts;
    for (const Subject& subject : subjects) ++counts[subject.model.label];
    std::erase_if(counts, [](const auto& count) { return count.second < 2; });
    return counts;
  };
  const auto extend = [&](auto addition) {
    const auto twice = repeated();
    for (Subject& subject : subjects)
      if (twice.count(subject.model.label)) subject.model.label += addition(subject.model);
  };
  extend([](const TaskModel& model) { return fmt::format(" ({})", model.arithmetic); });
  extend([](const TaskModel& model) { return model.chat ? " in chat" : ""; });
  extend([](const TaskModel& model) { return " " + model.sha256.substr(0, 8); });
  size_t number = 0;
  extend([&](const TaskModel&) { return fmt::format(" #{}", ++number); });
}

bool ran_in_fp32(const TaskModel& model) {
  return (" " + model.arithmetic + " ").find(" fp32 ") != std::string::npos ||
         model.arithmetic.find("float32") != std::string::npos;
}

size_t named_reference(const std::vector<Subject>& subjects, const std::string& name) {
  constexpr size_t kShortestHash = 6;
  std::vector<size_t> found;
  std::string known;
  for (size_t i = 0; i < subjects.size(); ++i) {
    const TaskModel& model = subjects[i].model;
    if (model.label == name) return i;
    if (model.name == name || last_part(model.name) == name ||
        (name.size() >= kShortestHash && model.sha256.starts_with(name)))
      found.push_back(i);
    known += (known.empty() ? "'" : ", '") + model.label + "'";
  }
  if (found.size() == 1) return found.front();
  throw base::BadUsage(fmt::format("--reference: '{}' is {} of the store; models: {}", name,
                                   found.empty() ? "no model" : "more than one model", known));
}

size_t choose_reference(const std::vector<Subject>& subjects, const std::string& name, std::string& reason) {
  if (!name.empty()) {
    reason = "as asked for";
    return named_reference(subjects, name);
  }
  for (size_t i = 0; i < subjects.size(); ++i)
    if (ran_in_fp32(subjects[i].model)) {
      reason = "the first that ran in FP32; --reference NAME takes another";
      return i;
    }
  reason = "the first that was saved; --reference NAME takes another";
  return 0;
}

// Of several results under one name the last one counts.
std::vector<const TaskRecord*> latest(const Subject& subject) {
  std::vector<const TaskRecord*> records;
  for (const TaskRecord& record : subject.records) {
    const auto same = std::find_if(records.begin(), records.end(), [&](const auto* other) {
      return other->result.name == record.result.name;
    });
    if (same == records.end())
      records.push_back(&record);
    else
      *same = &record;
  }
  return records;
}

// The reference's last result over the same prompts.
const TaskRecord* partner(const TaskRecord& record, const Subject& reference) {
  const TaskRecord* found = nullptr;
  for (const TaskRecord& other : reference.records)
    if (!record.items_sha256.empty() && other.items_sha256 == record.items_sha256 &&
        other.result.kind == record.result.kind && other.result.items.size() == record.result.items.size() &&
        (!found || other.result.name == record.result.name))
      found = &other;
  return found;
}

void compare_with(const Subject& reference, Subject& subject) {
  TaskEvaluation& tasks = subject.model.tasks;
  std::vector<eval::TaskResult> alone;
  for (const TaskRecord* record : latest(subject)) {
    const TaskRecord* other = partner(*record, reference);
    (other ? tasks.results : alone).push_back(record->result);
    if (other) tasks.reference_results.push_back(other->result);
  }
  if (!tasks.results.empty()) tasks.comparison = eval::compare(tasks.results, tasks.reference_results);
  tasks.results.insert(tasks.results.end(), std::make_move_iterator(alone.begin()),
                       std::make_move_iterator(alone.end()));
}

void note_unpaired(const Subject& subject, const std::string& reference, std::vector<std::string>& notes) {
  const TaskEvaluation& tasks = subject.model.tasks;
  std::string names;
  for (size_t i = tasks.reference_results.size(); i < tasks.results.size(); ++i)
    names += (names.empty() ? "" : ", ") + tasks.results[i].name;
  if (!names.empty())
    notes.push_back(fmt::format("{}: not compared, {} has no result over the same prompts: {}",
                                subject.model.label, reference, names));
}

void note_old(const std::vector<Subject>& subjects, std::vector<std::string>& notes) {
  std::set<std::string> old;
  for (const Subject& subject : subjects)
    for (const TaskRecord& record : subject.records)
      if (record.items_sha256.empty()) old.insert(subject.model.label);
  for (const std::string& label : old)
    notes.push_back(
        fmt::format("{}: has results from a version that did not keep the scores of items; run its "
                    "eval with --store again, nothing is computed anew",
                    label));
}

}  // namespace

TaskReport task_report(const TaskStore& store, const std::string& source, const std::string& reference) {
  std::vector<Subject> subjects = subjects_of(store.all(), source);
  if (subjects.empty())
    throw base::BadInput(
        fmt::format("{}: holds no results; eval --tasks … --store {} puts some there", source, source));
  make_labels_unique(subjects);
  TaskReport report;
  report.source = source;
  if (subjects.size() > 1 || !reference.empty())
    report.reference = choose_reference(subjects, reference, report.reference_reason);
  note_old(subjects, report.notes);
  for (size_t i = 0; i < subjects.size(); ++i) {
    Subject& subject = subjects[i];
    if (report.reference && *report.reference != i) {
      compare_with(subjects[*report.reference], subject);
      note_unpaired(subject, subjects[*report.reference].model.label, report.notes);
    } else {
      for (const TaskRecord* record : latest(subject)) subject.model.tasks.results.push_back(record->result);
    }
  }
  for (Subject& subject : subjects) report.models.push_back(std::move(subject.model));
  return report;
}

}  // namespace aquatint::report
