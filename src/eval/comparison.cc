#include "eval/comparison.h"

#include "base/error.h"

namespace aquatint::eval {
namespace {

std::vector<bool> right(const Metric& metric) {
  std::vector<bool> answers;
  for (const double value : metric.values) answers.push_back(value > 0);
  return answers;
}

TaskComparison compare_task(const TaskResult& result, const Metric& model, const Metric& reference) {
  AQ_CHECK(model.values.size() == reference.values.size() && model.key() == reference.key(),
           "{}: {} items of {} and {} of {}", result.name, model.values.size(), model.key(),
           reference.values.size(), reference.key());
  const std::vector<bool> a = right(model), b = right(reference);
  return {.name = result.name,
          .task = 0,
          .metric = model.key(),
          .difference = paired_proportion_interval(a, b),
          .mcnemar = mcnemar(a, b),
          .flips = flips(a, b),
          .recovery = {},
          .similarity = {}};
}

std::optional<SimilaritySummary> similarity(const TaskResult& model, const TaskResult& reference) {
  if (model.kind != TaskKind::generation) return std::nullopt;
  bool tokens_known = true;
  const auto generations = [&](const TaskResult& result) {
    std::vector<Generation> all;
    for (const ItemResult& item : result.items) {
      all.push_back({item.text, item.tokens});
      tokens_known = tokens_known && (item.text.empty() || !item.tokens.empty());
    }
    return all;
  };
  std::vector<Generation> a = generations(model), b = generations(reference);
  if (!tokens_known) number_words(a, b);
  SimilaritySummary summary = summarize_similarity(a, b);
  if (!tokens_known) summary.unit = "words";
  return summary;
}

base::Json to_json(const SimilaritySummary& s) {
  return {{"rouge_1", s.rouge_1.value},
          {"rouge_2", s.rouge_2.value},
          {"rouge_l", s.rouge_l.value},
          {"rouge_l_stderr", s.rouge_l.standard_error},
          {"identical", s.identical.value},
          {"prefix_tokens", s.prefix_tokens.value},
          {"prefix_share", s.prefix_share.value},
          {"edit_distance", s.edit_distance.value},
          {"length", s.length.value},
          {"reference_length", s.reference_length.value},
          {"pairs", s.pairs},
          {"unit", s.unit}};
}

base::Json interval_json(const RecoveryEstimate& estimate) {
  if (!estimate.value) return nullptr;
  base::Json json = {{"value", *estimate.value}, {"low", nullptr}, {"high", nullptr}};
  if (estimate.interval) {
    json["low"] = estimate.interval->low;
    json["high"] = estimate.interval->high;
  }
  return json;
}

// " (95 % interval 97.1 to 99.4 %, 93 % likely below it)"
std::string certainty(const Recovery& recovery, double percent) {
  if (!recovery.overall.interval) return "";
  return fmt::format(" (95 % interval {:.2f} to {:.2f} %; below {:g} % with probability {:.3f})",
                     100 * recovery.overall.interval->low, 100 * recovery.overall.interval->high, percent,
                     *recovery.probability_below(percent / 100));
}

}  // namespace

Comparison compare(const std::vector<TaskResult>& model, const std::vector<TaskResult>& reference,
                   uint64_t seed) {
  AQ_CHECK(model.size() == reference.size(), "{} and {} tasks", model.size(), reference.size());
  Comparison all;
  std::vector<TaskScores> scores;
  std::vector<double> points;
  for (size_t i = 0; i < model.size(); ++i) {
    const Metric* a = model[i].score();
    const Metric* b = a ? reference[i].find(a->key()) : nullptr;
    if (!b || a->values.empty() || b->values.empty()) continue;
    all.tasks.push_back(compare_task(model[i], *a, *b));
    all.tasks.back().task = i;
    all.tasks.back().similarity = similarity(model[i], reference[i]);
    scores.push_back({a->values, b->values, model[i].baseline});
    points.push_back(100 * all.tasks.back().difference.mean);
  }
  if (scores.empty()) return all;
  all.recovery = recovery(scores, {.seed = seed});
  for (size_t i = 0; i < all.tasks.size(); ++i) all.tasks[i].recovery = all.recovery.tasks[i];
  all.differences = difference_histogram(points);
  return all;
}

base::Json to_json(const TaskComparison& c) {
  base::Json json = {
      {"metric", c.metric},      {"mean", c.difference.mean}, {"stderr", c.difference.standard_error},
      {"low", c.difference.low}, {"high", c.difference.high}, {"p", c.mcnemar.p},
      {"lost", c.flips.lost},    {"gained", c.flips.gained},  {"recovery", interval_json(c.recovery)}};
  if (c.similarity) json["similarity"] = to_json(*c.similarity);
  return json;
}

base::Json to_json(const Comparison& comparison) {
  const DifferenceHistogram& d = comparison.differences;
  base::Json bins = base::Json::array();
  for (const auto& bin : d.bins)
    if (bin.count > 0) bins.push_back({{"points", bin.centre}, {"tasks", bin.count}});
  return {{"recovery", interval_json(comparison.recovery.overall)},
          {"differences",
           {{"mean", d.mean},
            {"stderr", d.standard_error},
            {"p", d.p},
            {"share_in_band", d.share_in_band},
            {"bins", bins}}}};
}

void check_task_gate(double percent, const Comparison& comparison) {
  const RecoveryEstimate& overall = comparison.recovery.overall;
  if (!overall.value)
    throw base::GateMissed(
        "gate missed: the reference is not better than guessing on these tasks, so there is no recovery to "
        "measure");
  if (*overall.value >= percent / 100) {
    for (const TaskComparison& task : comparison.tasks)
      if (task.similarity) check_length_gate(*task.similarity);
    return;
  }
  throw base::GateMissed(fmt::format(
      "gate missed: {:.2f} % of the reference's mean chance-corrected accuracy, expected at least {:g} %{}",
      100 * *overall.value, percent, certainty(comparison.recovery, percent)));
}

void check_perplexity_gate(double percent, double model, double reference) {
  if (!(model <= reference * 100 / percent))
    throw base::GateMissed(
        fmt::format("gate missed: perplexity {:.4f}, expected at most {:.4f} (reference {:.4f}, {:g} %)",
                    model, reference * 100 / percent, reference, percent));
}

}  // namespace aquatint::eval
