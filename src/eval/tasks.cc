#include "eval/tasks.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "eval/answers.h"
#include "eval/metrics.h"
#include "eval/task_requests.h"
#include "runtime/generator.h"

namespace aquatint::eval {
namespace {

constexpr size_t kAnswers = 64;  // generated between reports of progress

int32_t first_token(const model::Config& config) {
  return config.bos_id >= 0 ? config.bos_id : config.eos_ids.empty() ? 0 : config.eos_ids.front();
}

// One task on one model.
class TaskRun {
 public:
  TaskRun(model::Model& model, const text::Tokenizer& tokenizer, const Task& task, const TaskOptions& options)
      : model_(model),
        tokenizer_(tokenizer),
        task_(task),
        options_(options),
        encoder_(tokenizer, first_token(model.config())) {}

  TaskResult result() {
    const size_t all = task_.items.size();
    count_ = options_.limit > 0 ? std::min(all, static_cast<size_t>(options_.limit)) : all;
    TaskResult result;
    result.items = task_.config.kind == TaskKind::generation ? generate()
                   : task_.config.kind == TaskKind::rolling  ? roll()
                                                             : score_choices();
    result.cut = cut_;
    finish_result(task_, result);
    return result;
  }

 private:
  std::vector<ItemResult> score_choices() {
    const Prompter prompter(task_, count_, options_);
    return score_all([&](size_t i) { return item_requests(task_, i, prompter, encoder_); }, false);
  }

  // A whole text is one score, however many windows it takes.
  std::vector<ItemResult> roll() {
    return score_all(
        [&](size_t i) {
          const std::vector<int32_t> tokens = tokenizer_.encode(task_.items[i].choices.front(), false);
          return rolling_requests(tokens, encoder_.fallback(), model_.config().max_positions);
        },
        true);
  }

  template <class RequestsOf>
  std::vector<ItemResult> score_all(RequestsOf requests_of, bool sums) {
    std::vector<Request> requests;
    std::vector<size_t> first_request;
    for (size_t i = 0; i < count_; ++i) {
      first_request.push_back(requests.size());
      bool cut = false;
      for (Request& request : requests_of(i)) {
        check_tokens(request.context, i);
        for (const auto& continuation : request.continuations) check_tokens(continuation, i);
        cut = cut || std::ssize(request.context) + static_cast<int64_t>(request.longest_continuation()) - 1 >
                         model_.config().max_positions;
        requests.push_back(std::move(request));
      }
      cut_ += cut;
    }
    first_request.push_back(requests.size());
    const auto scores = score(model_, std::move(requests), options_.batch_tokens);
    std::vector<ItemResult> results(count_);
    for (size_t i = 0; i < count_; ++i)
      for (size_t r = first_request[i]; r < first_request[i + 1]; ++r)
        for (const ContinuationScore& each : scores[r]) add(results[i], each, sums);
    return results;
  }

  static void add(ItemResult& result, const ContinuationScore& score, bool sums) {
    if (sums && !result.log_likelihoods.empty())
      result.log_likelihoods.front() += score.log_likelihood;
    else
      result.log_likelihoods.push_back(score.log_likelihood);
    if (result.log_likelihoods.size() == 1) result.greedy = score.greedy;
  }

  std::vector<ItemResult> generate() {
    const Prompter prompter(task_, count_, options_);
    const int64_t room = model_.config().max_positions - task_.config.max_tokens;
    if (room < 1)
      throw base::BadInput(fmt::format("{}: {} generated tokens leave no room in the model's {} positions",
                                       task_.name, task_.config.max_tokens, model_.config().max_positions));
    std::vector<std::vector<int32_t>> prompts;
    for (size_t i = 0; i < count_; ++i) {
      std::vector<int32_t> prompt = encoder_.encode(prompter.contexts(i).front());
      if (prompt.empty()) prompt = {encoder_.fallback()};
      check_tokens(prompt, i);
      if (std::ssize(prompt) > room) {
        prompt.erase(prompt.begin(), prompt.end() - room);
        ++cut_;
      }
      prompts.push_back(std::move(prompt));
    }
    std::vector<ItemResult> results;
    for (size_t done = 0; done < prompts.size(); done = results.size()) {
      base::progress("tasks", static_cast<int64_t>(done), std::ssize(prompts), "answers");
      continue_prompts(std::span(prompts).subspan(done, std::min(kAnswers, prompts.size() - done)), results);
    }
    base::progress("tasks", std::ssize(prompts), std::ssize(prompts), "answers");
    return results;
  }

  void continue_prompts(std::span<const std::vector<int32_t>> prompts, std::vector<ItemResult>& results) {
    runtime::GenerateOptions how;
    how.max_tokens = task_.config.max_tokens;
    how.stop_ids = options_.stop_ids;
    how.batch = std::max<int64_t>(1, options_.batch_tokens / 256);
    std::vector<std::string> texts(prompts.size());
    const auto goes_on = [&](size_t i, int32_t, std::string_view piece) {
      texts[i] += piece;
      return cut_at_stop(texts[i], task_.config.until).size() == texts[i].size();
    };
    for (const runtime::Generation& reply :
         runtime::Generator(model_, &tokenizer_).run(prompts, how, goes_on)) {
      ItemResult& result = results.emplace_back();
      result.text = cut_at_stop(reply.text, task_.config.until);
      result.tokens = reply.tokens;
    }
  }

  void check_tokens(const std::vector<int32_t>& tokens, size_t item) const {
    for (const int32_t token : tokens)
      if (token < 0 || token >= model_.config().vocab_size)
        throw base::BadInput(
            fmt::format("{}, line {}: token {} is outside the model's vocabulary of {}; does the tokenizer "
                        "belong to this model?",
                        task_.file.string(), task_.items[item].line, token, model_.config().vocab_size));
  }

  model::Model& model_;
  const text::Tokenizer& tokenizer_;
  const Task& task_;
  const TaskOptions& options_;
  Encoder encoder_;
  size_t count_ = 0;
  int64_t cut_ = 0;
};

}  // namespace

const Metric* TaskResult::find(std::string_view key) const {
  const auto found =
      std::find_if(metrics.begin(), metrics.end(), [&](const Metric& metric) { return metric.key() == key; });
  return found == metrics.end() ? nullptr : &*found;
}

const Metric* TaskResult::score() const {
  const auto found = std::find_if(metrics.begin(), metrics.end(), [](const Metric& metric) {
    return metric.name == "acc" || metric.name == "exact_match";
  });
  return found == metrics.end() ? nullptr : &*found;
}

double TaskResult::chance_corrected() const {
  const Metric* metric = score();
  AQ_CHECK(metric, "{} has no accuracy", name);
  return (metric->value - baseline) / (1 - baseline);
}

void finish_result(const Task& task, TaskResult& result) {
  result.name = task.name;
  result.kind = task.config.kind;
  result.shots = task.config.shots;
  result.baseline = task.baseline;
  result.n = std::ssize(result.items);
  result.duplicates = task.duplicates;
  result.texts = item_texts(task, result.items.size());
  result.metrics = score_items(task, result.items);
}

TaskResult run_task(model::Model& model, const text::Tokenizer& tokenizer, const Task& task,
                    const TaskOptions& options) {
  return TaskRun(model, tokenizer, task, options).result();
}

base::Json to_json(const TaskResult& result) {
  base::Json json = {{"n", result.n},
                     {"shots", result.shots},
                     {"baseline", result.baseline},
                     {"kind", task_kind_name(result.kind)}};
  if (result.cut > 0) json["cut"] = result.cut;
  if (result.duplicates > 0) json["duplicates"] = result.duplicates;
  for (const Metric& metric : result.metrics) {
    json[metric.key()] = metric.value;
    json[fmt::format("{}_stderr,{}", metric.name, metric.filter)] = metric.standard_error;
  }
  return json;
}

}  // namespace aquatint::eval
