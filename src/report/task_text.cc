#include "report/task_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/flips.h"
#include "report/table.h"

namespace aquatint::report {
namespace {

std::string metric_name(const eval::Metric& metric) {
  return metric.filter == "none" ? metric.name : fmt::format("{} ({})", metric.name, metric.filter);
}

std::string rounded(double value) { return std::isfinite(value) ? fmt::format("{:.4f}", value) : ""; }

std::string scores_table(const TaskEvaluation& r) {
  std::vector<Column> columns = {{"task", Align::left},   {"n"},     {"shots"},
                                 {"metric", Align::left}, {"value"}, {"±"}};
  if (!r.reference_results.empty()) columns.push_back({"reference"});
  Table table(std::move(columns));
  for (size_t i = 0; i < r.results.size(); ++i) {
    const eval::TaskResult& t = r.results[i];
    for (size_t m = 0; m < t.metrics.size(); ++m) {
      const eval::Metric& metric = t.metrics[m];
      std::vector<std::string> cells = {m == 0 ? t.name : "",
                                        m == 0 ? fmt::format("{}", t.n) : "",
                                        m == 0 ? fmt::format("{}", t.shots) : "",
                                        metric_name(metric),
                                        rounded(metric.value),
                                        rounded(metric.standard_error)};
      if (i < r.reference_results.size())
        if (const eval::Metric* other = r.reference_results[i].find(metric.key()))
          cells.push_back(rounded(other->value));
      table.add(std::move(cells));
    }
  }
  return table.text();
}

std::string percent(const eval::RecoveryEstimate& estimate) {
  if (!estimate.value) return "—";
  if (!estimate.interval) return fmt::format("{:.1f} %", 100 * *estimate.value);
  return fmt::format("{:.1f} % [{:.1f}, {:.1f}]", 100 * *estimate.value, 100 * estimate.interval->low,
                     100 * estimate.interval->high);
}

std::string comparison_lines(const eval::Comparison& comparison) {
  Table table({{"against the reference", Align::left},
               {"points"},
               {"95 %"},
               {"p"},
               {"lost"},
               {"gained"},
               {"recovery"}});
  for (const eval::TaskComparison& t : comparison.tasks)
    table.add({t.name, fmt::format("{:+.2f}", 100 * t.difference.mean),
               fmt::format("[{:+.2f}, {:+.2f}]", 100 * t.difference.low, 100 * t.difference.high),
               fmt::format("{:.3f}", t.mcnemar.p), fmt::format("{}", t.flips.lost.size()),
               fmt::format("{}", t.flips.gained.size()), percent(t.recovery)});
  return "\n" + table.text() +
         fmt::format("recovery over all tasks  {}\n", percent(comparison.recovery.overall));
}

std::string similarity_lines(const eval::Comparison& comparison) {
  Table table({{"generated answers", Align::left},
               {"identical"},
               {"common prefix"},
               {"edit distance"},
               {"ROUGE-L"},
               {"length"},
               {"reference"}});
  bool any = false;
  for (const eval::TaskComparison& t : comparison.tasks) {
    if (!t.similarity) continue;
    const eval::SimilaritySummary& s = *t.similarity;
    any = true;
    table.add({t.name, fmt::format("{:.1f} %", 100 * s.identical.value),
               fmt::format("{:.1f} {}", s.prefix_tokens.value, s.unit),
               fmt::format("{:.3f}", s.edit_distance.value), fmt::format("{:.3f}", s.rouge_l.value),
               fmt::format("{:.1f}", s.length.value), fmt::format("{:.1f}", s.reference_length.value)});
  }
  return any ? "\n" + table.text() : "";
}

std::string flip_lines(const TaskEvaluation& r, int64_t most) {
  std::string text;
  for (const eval::TaskComparison& comparison : r.comparison->tasks)
    for (const FlipExample& flip :
         flip_examples(r.results[comparison.task], r.reference_results[comparison.task], comparison.flips,
                       static_cast<size_t>(std::max<int64_t>(most, 0))))
      text += fmt::format("{} line {}, {}: {}\n  reference: {}\n  model:     {}\n", flip.task, flip.line,
                          flip.lost ? "right → wrong" : "wrong → right", one_line(flip.question, 100),
                          one_line(flip.reference, 60), one_line(flip.model, 60));
  return text.empty() ? "" : "\n" + text;
}

std::string model_list(const TaskReport& report) {
  Table table({{"model", Align::left},
               {"tasks"},
               {"ran as", Align::left},
               {"date", Align::left},
               {"version", Align::left}});
  for (size_t i = 0; i < report.models.size(); ++i) {
    const TaskModel& m = report.models[i];
    table.add({m.label, fmt::format("{}", m.tasks.results.size()), m.arithmetic + (m.chat ? ", chat" : ""),
               m.date.substr(0, 10), m.version});
    if (report.reference == i) table.emphasize_last();
  }
  return table.text();
}

std::string digits(double value) { return std::isfinite(value) ? fmt::format("{}", value) : ""; }

// The columns that only the metric has which answers were compared by.
std::vector<std::string> compared_cells(const TaskEvaluation& tasks, size_t task, const std::string& metric) {
  if (tasks.comparison)
    for (const eval::TaskComparison& c : tasks.comparison->tasks)
      if (c.task == task && c.metric == metric)
        return {digits(c.difference.mean),
                digits(c.difference.low),
                digits(c.difference.high),
                digits(c.mcnemar.p),
                fmt::format("{}", c.flips.lost.size()),
                fmt::format("{}", c.flips.gained.size()),
                c.recovery.value ? digits(*c.recovery.value) : ""};
  return {};
}

}  // namespace

std::string one_line(const std::string& text, size_t longest) {
  std::string line = eval::text_end(text, longest);
  for (char& c : line)
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  return line;
}

std::string task_scores_text(const TaskEvaluation& tasks) { return scores_table(tasks); }

std::string task_comparison_text(const TaskEvaluation& tasks, int64_t flips) {
  if (!tasks.comparison || tasks.comparison->tasks.empty()) return "";
  return comparison_lines(*tasks.comparison) + similarity_lines(*tasks.comparison) + flip_lines(tasks, flips);
}

base::Json task_evaluation_json(const TaskEvaluation& tasks) {
  base::Json j;
  for (const eval::TaskResult& result : tasks.results) j["tasks"][result.name] = eval::to_json(result);
  if (!tasks.comparison) return j;
  for (const eval::TaskComparison& task : tasks.comparison->tasks)
    j["tasks"][task.name]["difference"] = eval::to_json(task);
  if (!tasks.comparison->tasks.empty()) j["comparison"] = eval::to_json(*tasks.comparison);
  return j;
}

std::string task_report_text(const TaskReport& report, int64_t flips) {
  std::string text = fmt::format("{}\n\n{}", report.source, model_list(report));
  if (report.reference)
    text +=
        fmt::format("reference  {}: {}\n", report.models[*report.reference].label, report.reference_reason);
  for (const TaskModel& model : report.models)
    text += fmt::format("\n== {}\n", model.label) + task_scores_text(model.tasks) +
            task_comparison_text(model.tasks, flips);
  for (const std::string& note : report.notes) text += "\n" + note;
  return text + (report.notes.empty() ? "" : "\n");
}

base::Json task_report_json(const TaskReport& report) {
  base::Json models = base::Json::array();
  for (const TaskModel& m : report.models) {
    base::Json model = task_evaluation_json(m.tasks);
    model.update({{"model", m.label},
                  {"name", m.name},
                  {"sha256", m.sha256},
                  {"arithmetic", m.arithmetic},
                  {"chat", m.chat},
                  {"version", m.version},
                  {"cpu", m.cpu},
                  {"date", m.date}});
    models.push_back(std::move(model));
  }
  return {{"source", report.source},
          {"reference", report.reference ? base::Json(report.models[*report.reference].label) : base::Json()},
          {"models", models},
          {"notes", report.notes}};
}

std::string task_report_csv(const TaskReport& report) {
  Table table({{"model"},
               {"task"},
               {"n"},
               {"shots"},
               {"metric"},
               {"value"},
               {"stderr"},
               {"reference"},
               {"difference"},
               {"low"},
               {"high"},
               {"p"},
               {"lost"},
               {"gained"},
               {"recovery"}});
  for (const TaskModel& model : report.models)
    for (size_t i = 0; i < model.tasks.results.size(); ++i) {
      const eval::TaskResult& task = model.tasks.results[i];
      for (const eval::Metric& metric : task.metrics) {
        const eval::Metric* other = i < model.tasks.reference_results.size()
                                        ? model.tasks.reference_results[i].find(metric.key())
                                        : nullptr;
        std::vector<std::string> cells = {model.label,
                                          task.name,
                                          fmt::format("{}", task.n),
                                          fmt::format("{}", task.shots),
                                          metric.key(),
                                          digits(metric.value),
                                          digits(metric.standard_error),
                                          other ? digits(other->value) : ""};
        for (std::string& cell : compared_cells(model.tasks, i, metric.key()))
          cells.push_back(std::move(cell));
        table.add(std::move(cells));
      }
    }
  return table.csv();
}

}  // namespace aquatint::report
