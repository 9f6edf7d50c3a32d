// Comparisons of stored task results as one page.
#include <algorithm>
#include <cmath>
#include <span>

#include "base/error.h"
#include "report/html.h"
#include "report/html_changes.h"
#include "report/html_parts.h"
#include "report/table.h"
#include "report/task_text.h"

namespace aquatint::report {
namespace {

constexpr size_t kExamples = 3;  // of each kind and task

std::string row_head(const std::string& name, const std::string& small = "") {
  return fmt::format("<th scope=\"row\"><b>{}</b>{}</th>", escape_html(name),
                     small.empty() ? "" : fmt::format("<small>{}</small>", escape_html(small)));
}

std::string header(const TaskReport& report) {
  std::string facts = escape_html(report.source);
  if (report.reference)
    facts += fmt::format(" · reference: {} ({})", escape_html(report.models[*report.reference].label),
                         escape_html(report.reference_reason));
  return fmt::format(
      "<header>\n<p class=\"eyebrow\">Task results</p>\n<h1>{} model{}</h1>\n<p "
      "class=\"facts\">{}</p>\n</header>\n",
      report.models.size(), report.models.size() == 1 ? "" : "s", facts);
}

std::string models_table(const TaskReport& report) {
  std::string out = open_table("What ran, and how.", "flat") + "<thead><tr>" + column("Model", false);
  for (const char* title : {"Tasks", "Ran as", "Machine", "Date", "Version", "SHA-256"})
    out += column(title, false);
  out += "</tr></thead>\n<tbody>\n";
  for (const TaskModel& m : report.models) {
    out += "<tr>" + row_head(m.label, m.name == m.label ? "" : m.name);
    for (const std::string& cell :
         {fmt::format("{}", m.tasks.results.size()), m.arithmetic + (m.chat ? ", chat" : ""), m.cpu,
          m.date.substr(0, 10), m.version, m.sha256.substr(0, 12)})
      out += fmt::format("<td>{}</td>", escape_html(cell));
    out += "</tr>\n";
  }
  return out + kCloseTable;
}

struct ScoreRow {
  std::string task, metric;
  auto operator<=>(const ScoreRow&) const = default;
};

const eval::Metric* find_metric(const TaskModel& model, const ScoreRow& row, int64_t& n) {
  for (const eval::TaskResult& task : model.tasks.results)
    if (task.name == row.task) {
      n = task.n;
      return task.find(row.metric);
    }
  return nullptr;
}

std::string score_cell(const TaskModel& model, const ScoreRow& row) {
  int64_t n = 0;
  const eval::Metric* metric = find_metric(model, row, n);
  if (!metric || !std::isfinite(metric->value)) return kBlankCell;
  const std::string error = std::isfinite(metric->standard_error)
                                ? fmt::format("±&#8239;{} · ", format_significant(metric->standard_error, 2))
                                : "";
  return fmt::format("<td class=\"num\">{:.4f}<small>{}n {}</small></td>", metric->value, error, n);
}

std::string scores_table(const TaskReport& report) {
  std::vector<ScoreRow> rows;
  std::string out = open_table("Every metric ± one standard error.") + "<thead><tr>" + column("Task", false);
  for (const TaskModel& model : report.models) {
    out += column(escape_html(model.label));
    for (const eval::TaskResult& task : model.tasks.results)
      for (const eval::Metric& metric : task.metrics)
        if (const ScoreRow row = {task.name, metric.key()};
            std::find(rows.begin(), rows.end(), row) == rows.end())
          rows.push_back(row);
  }
  out += "</tr></thead>\n<tbody>\n";
  for (const ScoreRow& row : rows) {
    out += "<tr>" + row_head(row.task, row.metric);
    for (const TaskModel& model : report.models) out += score_cell(model, row);
    out += "</tr>\n";
  }
  return out + kCloseTable;
}

std::vector<std::string> compared_tasks(const TaskReport& report) {
  std::vector<std::string> names;
  for (const TaskModel& model : report.models)
    if (model.tasks.comparison)
      for (const eval::TaskComparison& task : model.tasks.comparison->tasks)
        if (std::find(names.begin(), names.end(), task.name) == names.end()) names.push_back(task.name);
  return names;
}

std::string changes_table(const TaskReport& report) {
  const std::vector<std::string> names = compared_tasks(report);
  if (names.empty()) return "";
  std::vector<double> differences;
  std::string rows;
  for (const TaskModel& model : report.models) {
    if (!model.tasks.comparison || model.tasks.comparison->tasks.empty()) continue;
    rows += "<tr>" + row_head(model.label);
    for (const std::string& name : names) {
      const auto& tasks = model.tasks.comparison->tasks;
      const auto found =
          std::find_if(tasks.begin(), tasks.end(), [&](const auto& task) { return task.name == name; });
      rows += found == tasks.end() ? kBlankCell : change_cell(found->difference, found->flips);
      if (found != tasks.end()) differences.push_back(100 * found->difference.mean);
    }
    rows += recovery_cell(model.tasks.comparison->recovery.overall) + "</tr>\n";
  }
  std::string out = open_changes("Model");
  for (const std::string& name : names) out += column(escape_html(name));
  return out + column("Recovery") + "</tr></thead>\n<tbody>\n" + rows + kCloseTable +
         difference_chart(eval::difference_histogram(differences), "models");
}

std::string similarity_row(const TaskModel& model, const eval::TaskComparison& task) {
  const eval::SimilaritySummary& s = *task.similarity;
  std::string row = "<tr>" + row_head(model.label, task.name);
  for (const std::string& cell :
       {fmt::format("{:.1f}&#8239;%", 100 * s.identical.value), fmt::format("{:.1f}", s.prefix_tokens.value),
        fmt::format("{:.3f}", s.edit_distance.value), fmt::format("{:.3f}", s.rouge_l.value),
        fmt::format("{:.1f}", s.length.value), fmt::format("{:.1f}", s.reference_length.value)})
    row += fmt::format("<td class=\"num\">{}</td>", cell);
  return row + "</tr>\n";
}

std::string similarity_table(const TaskReport& report) {
  std::string rows;
  for (const TaskModel& model : report.models)
    if (model.tasks.comparison)
      for (const eval::TaskComparison& task : model.tasks.comparison->tasks)
        if (task.similarity) rows += similarity_row(model, task);
  if (rows.empty()) return "";
  std::string out =
      open_table(
          "Generated answers beside the reference's on the same prompts. Lengths in tokens; in words "
          "where another program made the answers.",
          "flat") +
      "<thead><tr>" + column("Model", false);
  for (const char* title :
       {"Identical", "Common prefix", "Edit distance", "ROUGE-L", "Length", "Reference's length"})
    out += column(title);
  return out + "</tr></thead>\n<tbody>\n" + rows + kCloseTable;
}

std::string flips(const TaskReport& report) {
  std::vector<NamedFlips> all;
  for (const TaskModel& model : report.models) {
    if (!model.tasks.comparison) continue;
    NamedFlips& named = all.emplace_back(NamedFlips{model.label, {}});
    for (const eval::TaskComparison& task : model.tasks.comparison->tasks)
      for (FlipExample& flip : flip_examples(model.tasks.results[task.task],
                                             model.tasks.reference_results[task.task], task.flips, kExamples))
        named.examples.push_back(std::move(flip));
  }
  return flips_section(all);
}

std::string notes_list(const std::vector<std::string>& notes) {
  std::string items;
  for (const std::string& note : notes) items += fmt::format("<li>{}</li>\n", escape_html(note));
  return items.empty() ? "" : "<ul class=\"notes\">\n" + items + "</ul>\n";
}

}  // namespace

std::string render_html(const TaskReport& report) {
  std::string out = page_head("Task results") + header(report);
  out += page_section("models", "Models", "", models_table(report));
  out += page_section("changes", "What changed", "", changes_table(report));
  out += page_section("scores", "Scores", "", scores_table(report));
  out += page_section("similarity", "Generated answers", "", similarity_table(report));
  out += page_section("flips", "Answers that changed", "", flips(report));
  out += page_section("notes", "Read this before trusting the figures", "", notes_list(report.notes));
  return out +
         fmt::format(
             "<footer>This file needs no network; its figures are also inside it as JSON, in the element "
             "with the id “tasks”.</footer>\n</main>\n<script type=\"application/json\" "
             "id=\"tasks\">{}</script>\n</body>\n</html>\n",
             script_safe(task_report_json(report)));
}

}  // namespace aquatint::report
