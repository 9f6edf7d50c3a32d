#include "cli/eval_report.h"

#include <fmt/format.h>

#include <cmath>

#include "report/task_text.h"

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
  for (const eval::TaskResult& task : r.tasks.results) {
    if (task.cut > 0)
      text += fmt::format("{}: {} of {} contexts were too long and lost tokens at their start\n", task.name,
                          task.cut, task.n);
    if (task.duplicates > 0) text += fmt::format("{}: {} items repeat others\n", task.name, task.duplicates);
  }
  return text;
}

}  // namespace

std::string as_text(const Evaluation& r) {
  std::string text = r.text ? text_lines(r) : "";
  if (r.tasks.results.empty()) return text + noise_lines(r);
  text += report::task_scores_text(r.tasks);
  if (r.gauntlet) text += gauntlet_lines(*r.gauntlet);
  text += report::task_comparison_text(r.tasks, r.shown_flips);
  return text + "\n" + noise_lines(r) + notes(r);
}

base::Json as_json(const Evaluation& r) {
  base::Json j = r.text ? eval::to_json(*r.text) : base::Json::object();
  j["kv_cache"] = r.cache;
  j["adds_bos"] = r.adds_bos;
  if (!r.tasks.results.empty()) j.update(report::task_evaluation_json(r.tasks));
  if (r.gauntlet) j["gauntlet"] = {{"categories", r.gauntlet->categories}, {"average", r.gauntlet->average}};
  if (r.noise_floor)
    j["noise_floor"] = {{"items", r.noise_floor->items},
                        {"flips", r.noise_floor->flips},
                        {"largest_log_likelihood_difference", r.noise_floor->largest_difference},
                        {"other_texts", r.noise_floor->other_texts}};
  if (r.noise_kld) j["noise_floor"]["mean_kld"] = *r.noise_kld;
  return j;
}

}  // namespace aquatint::cli
