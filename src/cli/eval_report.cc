#include "cli/eval_report.h"

#include <fmt/format.h>

#include "report/table.h"

namespace aquatint::cli {
namespace {

std::string text_lines(const Evaluation& r) {
  const eval::Perplexity& p = r.text->perplexity;
  std::string text = fmt::format(
      "perplexity      {:.4f} ± {:.4f}   {} tokens in {} windows of {}, scored from position {}\n", p.value,
      p.standard_error, p.tokens, p.windows, p.context, p.score_from);
  text += fmt::format("cache           {}\n", r.cache);
  if (!r.text->divergence) return text;
  const eval::DivergenceResult& d = *r.text->divergence;
  return text + fmt::format(
                    "reference       {:.4f}\nmean KLD        {:.6f} ± {:.6f} nats   99 %: {:.5f}\nsame top "
                    "token  {:.2f} %\n",
                    d.reference_perplexity, d.mean_kld, d.mean_kld_stderr, d.p99_kld, 100 * d.same_top1);
}

std::string metric_name(const eval::Metric& metric) {
  return metric.filter == "none" ? metric.name : fmt::format("{} ({})", metric.name, metric.filter);
}

std::string task_table(const Evaluation& r) {
  report::Table table({{"task", report::Align::left},
                       {"n"},
                       {"shots"},
                       {"metric", report::Align::left},
                       {"value"},
                       {"±"},
                       {"reference"}});
  for (size_t i = 0; i < r.results.size(); ++i) {
    const eval::TaskResult& t = r.results[i];
    for (size_t m = 0; m < t.metrics.size(); ++m) {
      const eval::Metric& metric = t.metrics[m];
      const eval::Metric* other = r.comparison ? r.reference_results[i].find(metric.key()) : nullptr;
      table.add({m == 0 ? t.name : "", m == 0 ? fmt::format("{}", t.n) : "",
                 m == 0 ? fmt::format("{}", t.shots) : "", metric_name(metric),
                 fmt::format("{:.4f}", metric.value), fmt::format("{:.4f}", metric.standard_error),
                 other ? fmt::format("{:.4f}", other->value) : ""});
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
  report::Table table({{"against the reference", report::Align::left},
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

std::string notes(const Evaluation& r) {
  std::string text =
      fmt::format("BOS before prompts: {}\n",
                  r.adds_bos ? "yes, the tokenizer's rule" : "no, as the tokenizer's rule has it");
  for (size_t i = 0; i < r.results.size(); ++i) {
    if (r.results[i].cut > 0)
      text += fmt::format("{}: {} of {} contexts were too long and lost tokens at their start\n",
                          r.results[i].name, r.results[i].cut, r.results[i].n);
    if (r.tasks[i].duplicates > 0)
      text += fmt::format("{}: {} items repeat others\n", r.results[i].name, r.tasks[i].duplicates);
  }
  return text;
}

}  // namespace

std::string as_text(const Evaluation& r) {
  std::string text = r.text ? text_lines(r) : "";
  if (r.results.empty()) return text;
  text += task_table(r);
  if (r.comparison && !r.comparison->tasks.empty()) text += comparison_lines(*r.comparison);
  return text + notes(r);
}

base::Json as_json(const Evaluation& r) {
  base::Json j = r.text ? eval::to_json(*r.text) : base::Json::object();
  j["kv_cache"] = r.cache;
  j["adds_bos"] = r.adds_bos;
  if (!r.results.empty()) j["tasks"] = base::Json::object();
  for (size_t i = 0; i < r.results.size(); ++i) {
    base::Json& task = j["tasks"][r.results[i].name] = eval::to_json(r.results[i]);
    if (r.tasks[i].duplicates > 0) task["duplicates"] = r.tasks[i].duplicates;
  }
  if (!r.comparison) return j;
  for (const eval::TaskComparison& task : r.comparison->tasks)
    j["tasks"][task.name]["difference"] = eval::to_json(task);
  if (!r.comparison->tasks.empty()) j["comparison"] = eval::to_json(*r.comparison);
  return j;
}

}  // namespace aquatint::cli
