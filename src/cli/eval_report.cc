#include "cli/eval_report.h"

#include <fmt/format.h>

#include <cmath>

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
  return text +
         fmt::format(
             "reference       {:.4f}   perplexity {:+.2f} % ± {:.2f}\nmean KLD        {:.6f} ± {:.6f} nats\n"
             "KLD             median {:.5f}   90 % {:.5f}   95 % {:.5f}   99 % {:.5f}   99.9 % {:.5f}   max "
             "{:.4f}\n"
             "same top token  {:.2f} % ± {:.2f}\n",
             d.reference_perplexity, 100 * std::expm1(d.log_ratio),
             100 * std::exp(d.log_ratio) * d.log_ratio_stderr, d.mean_kld, d.mean_kld_stderr, d.median_kld,
             d.p90_kld, d.p95_kld, d.p99_kld, d.p999_kld, d.max_kld, 100 * d.same_top1,
             100 * d.same_top1_stderr);
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

std::string similarity_lines(const eval::Comparison& comparison) {
  report::Table table({{"generated answers", report::Align::left},
                       {"identical"},
                       {"common prefix"},
                       {"edit distance"},
                       {"ROUGE-L"},
                       {"tokens"},
                       {"reference"}});
  bool any = false;
  for (const eval::TaskComparison& t : comparison.tasks) {
    if (!t.similarity) continue;
    const eval::SimilaritySummary& s = *t.similarity;
    any = true;
    table.add({t.name, fmt::format("{:.1f} %", 100 * s.identical.value),
               fmt::format("{:.1f} tokens", s.prefix_tokens.value),
               fmt::format("{:.3f}", s.edit_distance.value), fmt::format("{:.3f}", s.rouge_l.value),
               fmt::format("{:.1f}", s.length.value), fmt::format("{:.1f}", s.reference_length.value)});
  }
  return any ? "\n" + table.text() : "";
}

// The end of a text, on one line.
std::string tail(std::string text, size_t longest) {
  if (text.size() > longest) {
    size_t begin = text.size() - longest;
    while (begin < text.size() && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) ++begin;
    text = "…" + text.substr(begin);
  }
  for (char& c : text)
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  return text;
}

// What a model answered: a choice, or a text.
std::string answer(const eval::Task& task, const eval::TaskResult& result, size_t item) {
  const eval::ItemResult& r = result.items[item];
  if (task.config.kind == eval::TaskKind::generation) return tail(r.text, 60);
  if (task.config.kind == eval::TaskKind::language_modelling)
    return r.greedy ? task.items[item].choices.front() : "another text";
  const auto best = static_cast<size_t>(std::max_element(r.log_likelihoods.begin(), r.log_likelihoods.end()) -
                                        r.log_likelihoods.begin());
  const auto& options =
      task.config.kind == eval::TaskKind::schema ? task.items[item].questions : task.items[item].choices;
  return tail(options[best], 60);
}

std::string flip_lines(const Evaluation& r) {
  std::string text;
  for (size_t i = 0, t = 0; i < r.results.size(); ++i) {
    if (!r.results[i].score()) continue;
    const eval::TaskComparison& comparison = r.comparison->tasks[t++];
    const auto show = [&](const std::vector<int64_t>& items, std::string_view kind) {
      for (size_t k = 0; k < items.size() && static_cast<int64_t>(k) < r.shown_flips; ++k) {
        const auto item = static_cast<size_t>(items[k]);
        text += fmt::format(
            "{} line {}, {}: {}\n  reference: {}\n  model:     {}\n", comparison.name,
            r.tasks[i].items[item].line, kind, tail(r.tasks[i].items[item].questions.front(), 100),
            answer(r.tasks[i], r.reference_results[i], item), answer(r.tasks[i], r.results[i], item));
      }
    };
    show(comparison.flips.lost, "right → wrong");
    show(comparison.flips.gained, "wrong → right");
  }
  return text.empty() ? "" : "\n" + text;
}

std::string gauntlet_lines(const eval::GauntletAverages& averages) {
  std::string text = "\nGauntlet, chance taken out\n";
  for (const auto& [category, value] : averages.categories)
    text += fmt::format("  {:<28}{:6.2f} %\n", category, 100 * value);
  return text + fmt::format("  {:<28}{:6.2f} %\n", "average", 100 * averages.average);
}

std::string noise_lines(const Evaluation& r) {
  std::string text;
  if (r.noise_floor)
    text += fmt::format(
        "noise floor: the reference in other batches and threads: {} of {} answers differ, log-likelihoods "
        "by at most {:g}, {} texts differ\n",
        r.noise_floor->flips, r.noise_floor->items, r.noise_floor->largest_difference,
        r.noise_floor->other_texts);
  if (r.noise_kld)
    text += fmt::format("noise floor: the reference's mean KLD from itself {:g} nats\n", *r.noise_kld);
  return text;
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
  if (r.results.empty()) return text + noise_lines(r);
  text += task_table(r);
  if (r.gauntlet) text += gauntlet_lines(*r.gauntlet);
  if (r.comparison && !r.comparison->tasks.empty())
    text += comparison_lines(*r.comparison) + similarity_lines(*r.comparison) + flip_lines(r);
  return text + "\n" + noise_lines(r) + notes(r);
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
  if (r.gauntlet) j["gauntlet"] = {{"categories", r.gauntlet->categories}, {"average", r.gauntlet->average}};
  if (r.noise_floor)
    j["noise_floor"] = {{"items", r.noise_floor->items},
                        {"flips", r.noise_floor->flips},
                        {"largest_log_likelihood_difference", r.noise_floor->largest_difference},
                        {"other_texts", r.noise_floor->other_texts}};
  if (r.noise_kld) j["noise_floor"]["mean_kld"] = *r.noise_kld;
  if (!r.comparison) return j;
  for (const eval::TaskComparison& task : r.comparison->tasks)
    j["tasks"][task.name]["difference"] = eval::to_json(task);
  if (!r.comparison->tasks.empty()) j["comparison"] = eval::to_json(*r.comparison);
  return j;
}

}  // namespace aquatint::cli
