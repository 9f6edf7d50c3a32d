#include "eval/harness_results.h"

#include <fmt/chrono.h>

#include <ctime>
#include <limits>

#include "base/error.h"
#include "eval/harness_json.h"

namespace aquatint::eval {
namespace {

using base::Json;

constexpr size_t kLongestWords = 300;  // bytes of how a model was run
constexpr int kMostShots = 100000;

constexpr std::pair<std::string_view, TaskKind> kOutputTypes[] = {
    {"multiple_choice", TaskKind::multiple_choice},
    {"loglikelihood", TaskKind::language_modelling},
    {"loglikelihood_rolling", TaskKind::rolling},
    {"generate_until", TaskKind::generation}};

TaskKind kind_of(const Json& config, const std::string& where) {
  const std::string type = base::require_string(config, "output_type", where);
  for (const auto& [name, kind] : kOutputTypes)
    if (name == type) return kind;
  throw base::BadInput(
      fmt::format("{}: output_type '{}', expected multiple_choice, loglikelihood, "
                  "loglikelihood_rolling or generate_until",
                  where, type));
}

Aggregation aggregation_of(const std::string& metric) {
  if (metric == "perplexity") return Aggregation::perplexity;
  if (metric == "word_perplexity" || metric == "byte_perplexity") return Aggregation::weighted_perplexity;
  if (metric == "bits_per_byte") return Aggregation::bits_per_byte;
  return Aggregation::mean;
}

std::vector<Metric> scores(const Json& json) {
  std::vector<Metric> metrics;
  for (const auto& [key, value] : json.items()) {
    const size_t comma = key.find(',');
    if (comma == std::string::npos || !value.is_number() || key.find("_stderr,") != std::string::npos)
      continue;
    Metric& metric = metrics.emplace_back();
    metric.name = key.substr(0, comma);
    metric.filter = key.substr(comma + 1);
    metric.aggregation = aggregation_of(metric.name);
    metric.value = value.get<double>();
    // The harness writes "N/A" where it computed none.
    const auto error = json.find(fmt::format("{}_stderr,{}", metric.name, metric.filter));
    metric.standard_error = error != json.end() && error->is_number()
                                ? error->get<double>()
                                : std::numeric_limits<double>::quiet_NaN();
  }
  return metrics;
}

HarnessTask read_task(const Json& json, const std::string& name, const Json& values,
                      const std::string& file) {
  const std::string where = fmt::format("{}: task '{}'", file, name);
  if (!values.is_object()) throw base::BadInput(where + ": its results are no object");
  const Json& config = object_or_empty(object_or_empty(json, "configs"), name.c_str());
  HarnessTask task;
  TaskResult& result = task.result;
  result.name = name;
  result.kind = kind_of(config, where);
  result.shots =
      static_cast<int>(base::int_or(object_or_empty(json, "n-shot"), name.c_str(), 0, where, 0, kMostShots));
  result.baseline = base::number_or(config, "baseline", 0, where);
  if (!(result.baseline >= 0 && result.baseline < 1))
    throw base::BadInput(fmt::format("{}: baseline {}, expected 0 or more, below 1", where, result.baseline));
  result.n =
      base::int_or(object_or_empty(object_or_empty(json, "n-samples"), name.c_str()), "effective", 0, where);
  result.metrics = scores(values);
  return task;
}

std::string date_of(const Json& json) {
  const auto date = json.find("date");
  if (date == json.end()) return "";
  if (date->is_string()) return text_end(date->get<std::string>(), 40);
  constexpr double kLastSecond = 253402300799;  // of the year 9999
  if (!date->is_number() || !(date->get<double>() >= 0 && date->get<double>() <= kLastSecond)) return "";
  return fmt::format("{:%FT%TZ}", fmt::gmtime(static_cast<std::time_t>(date->get<double>())));
}

// Ours say it themselves; the harness' say which engine ran with which arguments.
std::string arithmetic_of(const Json& config, const std::string& where) {
  if (const auto own = config.find("arithmetic"); own != config.end() && own->is_string())
    return text_end(own->get<std::string>(), kLongestWords);
  std::string words = "lm_eval";
  for (const char* key : {"model", "model_args"})
    if (const auto found = config.find(key); found != config.end() && !found->is_null())
      words += " " + (found->is_string() ? base::require_string(config, key, where) : found->dump());
  return text_end(words, kLongestWords);
}

}  // namespace

HarnessRun parse_harness_results(std::string_view text, const std::string& where) {
  const Json json = base::parse_json(text, where);
  if (!json.is_object() || object_or_empty(json, "results").empty())
    throw base::BadInput(where +
                         ": holds no results of tasks; expected a results_*.json of lm-evaluation-harness");
  const Json& config = object_or_empty(json, "config");
  HarnessRun run;
  run.model = text_end(base::string_or(json, "model_name", "", where), kLongestWords);
  run.arithmetic = arithmetic_of(config, where);
  const auto chat = json.find("chat_template");
  run.chat = (chat != json.end() && !chat->is_null()) || base::bool_or(config, "chat", false, where);
  const std::string harness = base::string_or(json, "lm_eval_version", "", where);
  run.version = harness.empty() ? text_end(base::string_or(json, "git_hash", "", where), 40)
                                : "lm_eval " + text_end(harness, 40);
  run.date = date_of(json);
  const Json& groups = object_or_empty(json, "groups");
  for (const auto& [name, values] : object_or_empty(json, "results").items())
    if (!groups.contains(name)) run.tasks.push_back(read_task(json, name, values, where));
  return run;
}

}  // namespace aquatint::eval
