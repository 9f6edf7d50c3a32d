#include "eval/samples.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "eval/answers.h"
#include "eval/task_identity.h"

namespace aquatint::eval {
namespace {

using base::Json;

std::string hash(const std::string& text) { return base::sha256_hex(std::as_bytes(std::span(text))); }

std::string target_of(const Task& task, const TaskItem& item) {
  switch (task.config.kind) {
    case TaskKind::multiple_choice:
      return item.gold.size() == 1 ? std::to_string(item.gold.front()) : Json(item.gold).dump();
    case TaskKind::generation:
      return item.answers.size() == 1 ? item.answers.front() : Json(item.answers).dump();
    default:
      return item.choices.front();
  }
}

// One per request. The harness writes log-likelihoods and truth values as Python prints them, in strings.
Json responses(const Task& task, const ItemResult& result) {
  if (task.config.kind == TaskKind::generation) return Json::array({result.text});
  Json all = Json::array();
  for (const double log_likelihood : result.log_likelihoods)
    all.push_back(
        task.config.kind == TaskKind::rolling
            ? Json(fmt::format("{}", log_likelihood))
            : Json({fmt::format("{}", log_likelihood), result.greedy && all.empty() ? "True" : "False"}));
  return all;
}

// Each request was made once.
Json repeated(const Json& responses) {
  Json all = Json::array();
  for (const Json& response : responses) all.push_back(Json::array({response}));
  return all;
}

Json arguments(const Task& task, const ItemPrompts& prompts) {
  Json all = Json::object();
  for (const auto& [context, continuation] : prompts) {
    Json& one = all[fmt::format("gen_args_{}", all.size())];
    one["arg_0"] = task.config.kind == TaskKind::rolling ? continuation : context;
    if (task.config.kind == TaskKind::generation)
      one["arg_1"] = {
          {"until", task.config.until}, {"max_gen_toks", task.config.max_tokens}, {"do_sample", false}};
    else if (task.config.kind != TaskKind::rolling)
      one["arg_1"] = continuation;
  }
  return all;
}

bool is_weighted(const Metric& metric) {
  return metric.aggregation == Aggregation::weighted_perplexity ||
         metric.aggregation == Aggregation::bits_per_byte;
}

Json record(const Task& task, const TaskResult& result, const ItemPrompts& prompts, size_t i,
            const AnswerFilter& filter) {
  const ItemResult& item = result.items[i];
  const std::string target = target_of(task, task.items[i]);
  const Json given = responses(task, item), requests = arguments(task, prompts);
  Json json = {{"doc_id", i},
               {"target", target},
               {"arguments", requests},
               {"resps", repeated(given)},
               {"filter", filter.name},
               {"prompt_hash", hash(requests.at("gen_args_0").at("arg_0").get<std::string>())},
               {"target_hash", hash(target)}};
  json["filtered_resps"] = task.config.kind == TaskKind::generation
                               ? Json::array({AnswerExtractor(filter, task.name).extract(item.text)})
                               : given;
  json["metrics"] = Json::array();
  for (const Metric& metric : result.metrics) {
    if (metric.filter != filter.name) continue;
    json["metrics"].push_back(metric.name);
    json[metric.name] =
        is_weighted(metric) ? Json({metric.values[i], metric.weights[i]}) : Json(metric.values[i]);
  }
  return json;
}

Json config_of(const Task& task) {
  static constexpr const char* kOutputs[] = {"multiple_choice", "multiple_choice", "loglikelihood",
                                             "loglikelihood_rolling", "generate_until"};
  return {{"task", task.name},
          {"output_type", kOutputs[static_cast<size_t>(task.config.kind)]},
          {"num_fewshot", task.config.shots},
          {"target_delimiter", task.config.delimiter},
          {"fewshot_delimiter", task.config.example_delimiter},
          {"baseline", task.baseline},
          {"data", task.file.string()}};
}

}  // namespace

std::vector<Json> sample_records(const Task& task, const TaskResult& result, const TaskOptions& options) {
  std::vector<Json> records;
  const std::vector<ItemPrompts> prompts = item_prompts(task, result.items.size(), options);
  for (size_t i = 0; i < result.items.size(); ++i)
    for (const AnswerFilter& filter : task.config.filters)
      records.push_back(record(task, result, prompts[i], i, filter));
  return records;
}

Json results_record(const std::vector<Task>& tasks, const std::vector<TaskResult>& results,
                    const RunRecord& run) {
  Json json = {
      {"model_name", run.model}, {"date", run.date}, {"config", run.config}, {"git_hash", run.version}};
  for (size_t i = 0; i < tasks.size(); ++i) {
    const std::string& name = tasks[i].name;
    Json& scores = json["results"][name] = {{"alias", name}, {"sample_len", results[i].n}};
    for (const Metric& metric : results[i].metrics) {
      scores[metric.key()] = metric.value;
      scores[fmt::format("{}_stderr,{}", metric.name, metric.filter)] = metric.standard_error;
      json["higher_is_better"][name][metric.name] =
          metric.aggregation == Aggregation::mean && metric.name != "brier_score";
    }
    json["configs"][name] = config_of(tasks[i]);
    json["n-shot"][name] = results[i].shots;
    json["n-samples"][name] = {{"original", tasks[i].items.size()}, {"effective", results[i].n}};
  }
  return json;
}

void write_harness_files(const std::filesystem::path& folder, const std::vector<Task>& tasks,
                         const std::vector<TaskResult>& results, const TaskOptions& options,
                         const RunRecord& run) {
  std::filesystem::create_directories(folder);
  std::string time = run.date;
  std::replace(time.begin(), time.end(), ':', '-');
  base::write_text(folder / fmt::format("results_{}.json", time),
                   results_record(tasks, results, run).dump(2) + "\n");
  for (size_t i = 0; i < tasks.size(); ++i) {
    std::string lines;
    for (const Json& each : sample_records(tasks[i], results[i], options)) lines += each.dump() + "\n";
    base::write_text(folder / fmt::format("samples_{}_{}.jsonl", tasks[i].name, time), lines);
  }
}

}  // namespace aquatint::eval
