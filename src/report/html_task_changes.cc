// Tasks against the reference, item by item: what changed, how sure that is, and what is left of the
// reference's skill.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "eval/difference_histogram.h"
#include "eval/flips.h"
#include "eval/recovery.h"
#include "eval/statistics.h"
#include "report/html_parts.h"
#include "report/svg.h"
#include "report/table.h"

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

std::string points(double share, int decimals = 1) {
  return fmt::format("{}{:.{}f}", share < 0 ? "−" : "+", std::abs(100 * share), decimals);
}

std::string change_cell(const TaskResult& model, const TaskResult& reference) {
  const std::vector<bool> a = answers(model), b = answers(reference);
  const eval::PairedDifference difference = eval::paired_proportion_interval(a, b);
  const eval::Flips flips = eval::flips(a, b);
  const bool clear = difference.low > 0 || difference.high < 0;
  return fmt::format("<td class=\"num{}\">{}<small>{} to {} · {} lost, {} gained</small></td>",
                     clear ? " clear" : "", points(difference.mean), points(difference.low),
                     points(difference.high), flips.lost.size(), flips.gained.size());
}

std::string percent(const eval::RecoveryEstimate& estimate) {
  if (!estimate.value) return "<td class=\"num\"><span class=\"none\">–</span></td>";
  const std::string interval = estimate.interval
                                   ? fmt::format("<small>{:.1f} to {:.1f}</small>",
                                                 100 * estimate.interval->low, 100 * estimate.interval->high)
                                   : "";
  return fmt::format("<td class=\"num\">{:.1f}&#8239;%{}</td>", 100 * *estimate.value, interval);
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
      cells += "<td class=\"num\"><span class=\"none\">–</span></td>";
      continue;
    }
    cells += change_cell(*task, wanted);
    all.push_back(scores(*task, wanted));
    differences.push_back(100 * (task->accuracy.value - wanted.accuracy.value));
  }
  if (all.empty()) return "";
  return fmt::format("<tr><th scope=\"row\"><b>{}</b></th>{}{}</tr>\n", escape_html(row_name(row)), cells,
                     percent(eval::recovery(all, {.resamples = kResamples}).overall));
}

std::string histogram(const std::vector<double>& differences) {
  const eval::DifferenceHistogram h = eval::difference_histogram(differences);
  std::vector<svg::Bar> bars;
  for (const auto& bin : h.bins) bars.push_back({bin.centre, static_cast<double>(bin.count)});
  const std::string caption = fmt::format(
      "Changes of all tasks of all schemes, points: mean {} (p of zero {:.2f}), {:.0f}&#8239;% within ±2 "
      "(shaded). The outermost bars hold "
      "what lies farther out.",
      points(h.mean / 100, 2), h.p, 100 * h.share_in_band);
  return svg::histogram(bars, {-2.5, 2.5}, "points", caption);
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
  std::string out =
      "<div class=\"scroll\" tabindex=\"0\"><table><caption><span>Accuracy points over the reference on the "
      "same items, with a 95&#8239;% "
      "interval for paired proportions; bold where it leaves out zero. Lost: right by the reference, wrong "
      "here. Recovery: accuracy above "
      "chance, of the reference's, tasks weighted equally, with a 95&#8239;% interval by bootstrap over "
      "items.</span></caption>\n"
      "<thead><tr><th scope=\"col\">Scheme</th>";
  for (const TaskResult& task : reference->tasks)
    out += fmt::format("<th scope=\"col\" class=\"num\">{}</th>", escape_html(task.name));
  out += "<th scope=\"col\" class=\"num\">Recovery</th></tr></thead>\n<tbody>\n" + rows +
         "</tbody></table></div>\n";
  return out + (differences.size() >= 2 ? histogram(differences) : "");
}

}  // namespace aquatint::report
