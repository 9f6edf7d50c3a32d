// Tasks against the reference, item by item: what changed, how sure that is, and what is left of the
// reference's skill.
#include <algorithm>

#include "base/error.h"
#include "report/html_changes.h"
#include "report/html_parts.h"

namespace aquatint::report {
namespace {

constexpr int kResamples = 2000;  // of items, for intervals of recovery

std::vector<bool> answers(const TaskResult& task) { return {task.correct.begin(), task.correct.end()}; }

const TaskResult* same_task(const StudyRow& row, const TaskResult& task) {
  const auto found = std::find_if(row.tasks.begin(), row.tasks.end(),
                                  [&](const TaskResult& each) { return each.name == task.name; });
  return found != row.tasks.end() && found->correct.size() == task.correct.size() && !task.correct.empty()
             ? &*found
             : nullptr;
}

const StudyRow* reference_row(const Study& study) {
  const auto found = std::find_if(study.rows.begin(), study.rows.end(),
                                  [](const StudyRow& row) { return row.kind == RowKind::reference; });
  return found == study.rows.end() ? nullptr : &*found;
}

eval::TaskScores scores(const TaskResult& model, const TaskResult& reference) {
  return {{model.correct.begin(), model.correct.end()},
          {reference.correct.begin(), reference.correct.end()},
          model.baseline};
}

// One row of the table; the task differences in points are added to `differences`.
std::string change_row(const StudyRow& row, const StudyRow& reference, std::vector<double>& differences) {
  std::string cells;
  std::vector<eval::TaskScores> all;
  for (const TaskResult& wanted : reference.tasks) {
    const TaskResult* task = same_task(row, wanted);
    if (!task) {
      cells += kBlankCell;
      continue;
    }
    const std::vector<bool> a = answers(*task), b = answers(wanted);
    cells += change_cell(eval::paired_proportion_interval(a, b), eval::flips(a, b));
    all.push_back(scores(*task, wanted));
    differences.push_back(100 * (task->accuracy.value - wanted.accuracy.value));
  }
  if (all.empty()) return "";
  return fmt::format("<tr><th scope=\"row\"><b>{}</b></th>{}{}</tr>\n", escape_html(row_name(row)), cells,
                     recovery_cell(eval::recovery(all, {.resamples = kResamples}).overall));
}

}  // namespace

std::string task_changes(const Study& study) {
  const StudyRow* reference = reference_row(study);
  if (!reference) return "";
  std::vector<double> differences;
  std::string rows;
  for (const StudyRow& row : study.rows)
    if (row.kind != RowKind::reference) rows += change_row(row, *reference, differences);
  if (rows.empty()) return "";
  std::string out = open_changes("Scheme");
  for (const TaskResult& task : reference->tasks) out += column(escape_html(task.name));
  out += column("Recovery") + "</tr></thead>\n<tbody>\n" + rows + kCloseTable;
  return out + difference_chart(eval::difference_histogram(differences), "schemes");
}

}  // namespace aquatint::report
