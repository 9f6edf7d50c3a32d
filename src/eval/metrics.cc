#include "eval/metrics.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>

#include "base/error.h"
#include "base/statistics.h"
#include "eval/answers.h"

namespace aquatint::eval {
namespace {

// One value of an item, and its weight where the aggregation has weights.
struct Scored {
  double value = 0, weight = 1;
};
using Score = std::function<Scored(const TaskItem&, const ItemResult&)>;

double code_points(std::string_view text) {
  return static_cast<double>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

double bytes(std::string_view text) { return static_cast<double>(text.size()); }

// As many as re.split(r"\s+") gives pieces.
double words(std::string_view text) {
  double count = 1;
  bool in_space = false;
  for (const char c : text) {
    const bool space = std::string_view(" \t\n\r\f\v").find(c) != std::string_view::npos;
    count += space && !in_space;
    in_space = space;
  }
  return count;
}

// The options of an item as answers are counted: choices, or the contexts of a schema.
const std::vector<std::string>& options_of(const TaskItem& item) {
  return item.questions.size() > 1 ? item.questions : item.choices;
}

// Whether the option of the largest log-likelihood, over its length where one is given, is right.
Score choice_score(double (*length)(std::string_view)) {
  return [length](const TaskItem& item, const ItemResult& result) {
    std::vector<double> scores = result.log_likelihoods;
    for (size_t i = 0; length && i < scores.size(); ++i) scores[i] /= length(options_of(item)[i]);
    const auto best = std::max_element(scores.begin(), scores.end()) - scores.begin();
    return Scored{std::count(item.gold.begin(), item.gold.end(), static_cast<int>(best)) > 0 ? 1.0 : 0.0};
  };
}

// Σ over options of (probability − [right])².
Scored brier_score(const TaskItem& item, const ItemResult& result) {
  const double top = *std::max_element(result.log_likelihoods.begin(), result.log_likelihoods.end());
  double sum = 0, score = 0;
  for (const double log_likelihood : result.log_likelihoods) sum += std::exp(log_likelihood - top);
  for (size_t i = 0; i < result.log_likelihoods.size(); ++i) {
    const double right = static_cast<int>(i) == item.gold.front() ? 1 : 0;
    score += std::pow(std::exp(result.log_likelihoods[i] - top) / sum - right, 2);
  }
  return {score};
}

Score text_score(double (*length)(std::string_view)) {
  return [length](const TaskItem& item, const ItemResult& result) {
    return Scored{result.log_likelihoods.front(), length(item.choices.front())};
  };
}

Score log_likelihood() {
  return [](const TaskItem&, const ItemResult& result) { return Scored{result.log_likelihoods.front()}; };
}

Score greedy() {
  return [](const TaskItem&, const ItemResult& result) { return Scored{result.greedy ? 1.0 : 0.0}; };
}

struct Kind {
  Score score;
  Aggregation aggregation = Aggregation::mean;
};

// A metric that needs no filter of answers; an empty score when this kind of task has none of that name.
Kind metric_kind(TaskKind kind, const std::string& name) {
  if (kind == TaskKind::multiple_choice || kind == TaskKind::schema) {
    if (name == "acc") return {choice_score(nullptr)};
    if (name == "acc_norm") return {choice_score(&code_points)};
    if (name == "acc_bytes") return {choice_score(&bytes)};
    if (name == "brier_score") return {brier_score};
  } else if (kind == TaskKind::language_modelling) {
    if (name == "acc") return {greedy()};
    if (name == "perplexity") return {log_likelihood(), Aggregation::perplexity};
  } else if (kind == TaskKind::rolling) {
    if (name == "word_perplexity") return {text_score(&words), Aggregation::weighted_perplexity};
    if (name == "byte_perplexity") return {text_score(&bytes), Aggregation::weighted_perplexity};
    if (name == "bits_per_byte") return {text_score(&bytes), Aggregation::bits_per_byte};
  }
  return {};
}

// Σ values / Σ weights with its standard error (that of a ratio of means).
void summarize_ratio(Metric& metric) {
  double values = 0, weights = 0;
  for (size_t i = 0; i < metric.values.size(); ++i) {
    values += metric.values[i];
    weights += metric.weights[i];
  }
  const auto n = static_cast<double>(metric.values.size());
  const double mean = values / weights;
  double squares = 0;
  for (size_t i = 0; i < metric.values.size(); ++i)
    squares += std::pow(metric.values[i] - mean * metric.weights[i], 2);
  const double error = std::sqrt(squares * n / (n - 1)) / weights;
  if (metric.aggregation == Aggregation::bits_per_byte) {
    metric.value = -mean / std::numbers::ln2;
    metric.standard_error = error / std::numbers::ln2;
  } else {
    metric.value = std::exp(-mean);
    metric.standard_error = metric.value * error;
  }
}

void summarize(Metric& metric) {
  if (metric.aggregation == Aggregation::weighted_perplexity ||
      metric.aggregation == Aggregation::bits_per_byte)
    return summarize_ratio(metric);
  metric.value = base::summarize(metric.values).mean;
  metric.standard_error = base::standard_error(metric.values);
  if (metric.aggregation != Aggregation::perplexity) return;
  metric.value = std::exp(-metric.value);
  metric.standard_error *= metric.value;
}

Metric collect(const Task& task, std::span<const ItemResult> results, const std::string& name,
               const Kind& kind) {
  Metric metric;
  metric.name = name;
  metric.aggregation = kind.aggregation;
  for (size_t i = 0; i < results.size(); ++i) {
    const Scored scored = kind.score(task.items[i], results[i]);
    metric.values.push_back(scored.value);
    metric.weights.push_back(scored.weight);
  }
  summarize(metric);
  return metric;
}

// One metric per filter of answers.
std::vector<Metric> exact_matches(const Task& task, std::span<const ItemResult> results,
                                  const MetricConfig& config) {
  std::vector<Metric> metrics;
  const ExactMatch match(config, task.name);
  for (const AnswerFilter& filter : task.config.filters) {
    const AnswerExtractor extractor(filter, task.name);
    const Score score = [&](const TaskItem& item, const ItemResult& result) {
      return Scored{match.matches(extractor.extract(result.text), item.answers) ? 1.0 : 0.0};
    };
    metrics.push_back(collect(task, results, config.name, {score}));
    metrics.back().filter = filter.name;
  }
  return metrics;
}

}  // namespace

std::vector<Metric> score_items(const Task& task, std::span<const ItemResult> results) {
  std::vector<Metric> metrics;
  for (const MetricConfig& config : task.config.metrics) {
    if (task.config.kind == TaskKind::generation && config.name == "exact_match") {
      for (Metric& metric : exact_matches(task, results, config)) metrics.push_back(std::move(metric));
      continue;
    }
    const Kind kind = metric_kind(task.config.kind, config.name);
    if (!kind.score)
      throw base::BadInput(
          fmt::format("{}: metric '{}' is not known for {}; known: acc, acc_norm, acc_bytes, brier_score; "
                      "acc, perplexity; "
                      "word_perplexity, byte_perplexity, bits_per_byte; exact_match",
                      task.name, config.name, task_kind_name(task.config.kind)));
    metrics.push_back(collect(task, results, config.name, kind));
  }
  return metrics;
}

}  // namespace aquatint::eval
