#include "report/flips.h"

#include <algorithm>
#include <optional>

namespace aquatint::report {
namespace {

constexpr size_t kExamples = 2;  // of each kind, task and scheme

// Right (1) or wrong (0), item by item, as a row of a study has it.
std::vector<uint8_t> outcomes(const eval::TaskResult& result) {
  std::vector<uint8_t> right;
  if (const eval::Metric* score = result.score())
    for (const double value : score->values) right.push_back(value > 0);
  return right;
}

const eval::TaskResult* result_of(const std::vector<TaskRecord>& records, const StudyRow& row,
                                  const TaskResult& task) {
  const auto found = std::find_if(records.rbegin(), records.rend(), [&](const TaskRecord& record) {
    return record.model == row_name(row) && record.result.name == task.name &&
           outcomes(record.result) == task.correct;
  });
  return found == records.rend() ? nullptr : &found->result;
}

const TaskResult* task_named(const StudyRow& row, const std::string& name) {
  const auto found =
      std::find_if(row.tasks.begin(), row.tasks.end(), [&](const auto& task) { return task.name == name; });
  return found == row.tasks.end() ? nullptr : &*found;
}

void add_examples(const std::vector<TaskRecord>& records, const StudyRow& reference, StudyRow& row) {
  for (const TaskResult& task : row.tasks) {
    const TaskResult* other = task_named(reference, task.name);
    if (!other || task.correct.empty() || other->correct.size() != task.correct.size()) continue;
    const eval::TaskResult *model = result_of(records, row, task),
                           *base = result_of(records, reference, *other);
    if (!model || !base) continue;
    const eval::Flips flips = eval::flips({task.correct.begin(), task.correct.end()},
                                          {other->correct.begin(), other->correct.end()});
    for (FlipExample& example : flip_examples(*model, *base, flips, kExamples))
      row.flips.push_back(std::move(example));
  }
}

}  // namespace

void add_flip_examples(Study& study, const TaskStore& store) {
  const auto reference = std::find_if(study.rows.begin(), study.rows.end(),
                                      [](const StudyRow& row) { return row.kind == RowKind::reference; });
  if (reference == study.rows.end()) return;
  const std::vector<TaskRecord> records = store.all();
  for (StudyRow& row : study.rows)
    if (row.kind != RowKind::reference) add_examples(records, *reference, row);
}

std::vector<FlipExample> flip_examples(const eval::TaskResult& model, const eval::TaskResult& reference,
                                       const eval::Flips& flips, size_t most) {
  std::vector<FlipExample> examples;
  const std::vector<eval::ItemText>& texts = model.texts.empty() ? reference.texts : model.texts;
  if (texts.empty()) return examples;
  const auto take = [&](const std::vector<int64_t>& items, bool lost) {
    for (size_t k = 0; k < std::min(items.size(), most); ++k) {
      const auto i = static_cast<size_t>(items[k]);
      examples.push_back({model.name, texts[i].line, lost, texts[i].question,
                          eval::answer_text(model.kind, texts[i], reference.items[i]),
                          eval::answer_text(model.kind, texts[i], model.items[i])});
    }
  };
  take(flips.lost, true);
  take(flips.gained, false);
  return examples;
}

}  // namespace aquatint::report
