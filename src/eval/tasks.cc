#include "eval/tasks.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/statistics.h"
#include "eval/task_requests.h"

namespace aquatint::eval {
namespace {

int64_t code_points(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

// The first of the largest.
int best_of(const std::vector<double>& values) {
  return static_cast<int>(std::max_element(values.begin(), values.end()) - values.begin());
}

ItemResult judge(const Task& task, const TaskItem& item, const std::vector<ContinuationScore>& scores) {
  ItemResult result;
  std::vector<double> normalized;
  for (size_t i = 0; i < scores.size(); ++i) {
    result.log_likelihoods.push_back(scores[i].log_likelihood);
    const std::string& text = item.continuations[item.continuations.size() > 1 ? i : 0];
    normalized.push_back(scores[i].log_likelihood / static_cast<double>(code_points(text)));
  }
  if (task.kind == TaskKind::language_modelling) {
    result.correct = scores.front().greedy;
  } else {
    result.correct = best_of(result.log_likelihoods) == item.gold;
    result.correct_norm = best_of(normalized) == item.gold;
  }
  return result;
}

// √(p (1 − p) / (n − 1)): the standard error of a mean of zeros and ones.
double binary_error(double p, int64_t n) { return std::sqrt(p * (1 - p) / static_cast<double>(n - 1)); }

void summarize(TaskResult& result) {
  double right = 0, right_norm = 0;
  std::vector<double> log_likelihoods;
  for (const ItemResult& item : result.items) {
    right += item.correct;
    right_norm += item.correct_norm;
    log_likelihoods.push_back(item.log_likelihoods.front());
  }
  result.n = static_cast<int64_t>(result.items.size());
  result.acc = right / static_cast<double>(result.n);
  result.acc_stderr = binary_error(result.acc, result.n);
  if (result.kind == TaskKind::multiple_choice) {
    result.acc_norm = right_norm / static_cast<double>(result.n);
    result.acc_norm_stderr = binary_error(*result.acc_norm, result.n);
  }
  if (result.kind == TaskKind::language_modelling) {
    result.perplexity = std::exp(-base::summarize(log_likelihoods).mean);
    result.perplexity_stderr = *result.perplexity * base::standard_error(log_likelihoods);
  }
}

std::vector<bool> right_answers(const TaskResult& result) {
  std::vector<bool> right;
  for (const ItemResult& item : result.items) right.push_back(item.correct);
  return right;
}

void check_tokens(const Request& request, int64_t vocab_size, const Task& task, const TaskItem& item) {
  const auto check = [&](const std::vector<int32_t>& tokens) {
    for (const int32_t token : tokens)
      if (token < 0 || token >= vocab_size)
        throw base::BadInput(
            fmt::format("{}, line {}: token {} is outside the model's vocabulary of {}; does the tokenizer "
                        "belong to this model?",
                        task.file.string(), item.line, token, vocab_size));
  };
  check(request.context);
  for (const auto& continuation : request.continuations) check(continuation);
}

int32_t first_token(const model::Config& config) {
  return config.bos_id >= 0 ? config.bos_id : config.eos_ids.empty() ? 0 : config.eos_ids.front();
}

}  // namespace

TaskResult run_task(model::Model& model, const text::Tokenizer& tokenizer, const Task& task,
                    const TaskOptions& options) {
  const size_t count =
      options.limit > 0 ? std::min(task.items.size(), static_cast<size_t>(options.limit)) : task.items.size();
  std::vector<Request> requests;
  std::vector<size_t> first_request;
  for (size_t i = 0; i < count; ++i) {
    first_request.push_back(requests.size());
    for (Request& request : item_requests(task, i, options.seed, tokenizer, first_token(model.config()))) {
      check_tokens(request, model.config().vocab_size, task, task.items[i]);
      requests.push_back(std::move(request));
    }
  }
  first_request.push_back(requests.size());
  const auto scores = score(model, std::move(requests));

  TaskResult result;
  result.name = task.name;
  result.kind = task.kind;
  result.shots = task.settings.shots;
  result.baseline = task.baseline;
  for (size_t i = 0; i < count; ++i) {
    std::vector<ContinuationScore> of_item;
    for (size_t r = first_request[i]; r < first_request[i + 1]; ++r)
      of_item.insert(of_item.end(), scores[r].begin(), scores[r].end());
    result.items.push_back(judge(task, task.items[i], of_item));
  }
  summarize(result);
  return result;
}

TaskComparison compare(const TaskResult& model, const TaskResult& reference) {
  AQ_CHECK(model.items.size() == reference.items.size(), "{}: {} and {} items", model.name,
           model.items.size(), reference.items.size());
  const std::vector<bool> a = right_answers(model), b = right_answers(reference);
  const std::vector<double> first(a.begin(), a.end()), second(b.begin(), b.end());
  return {paired_difference(first, second), mcnemar(a, b)};
}

base::Json to_json(const TaskResult& result, const TaskResult* reference) {
  base::Json json = {{"acc,none", result.acc},
                     {"acc_stderr,none", result.acc_stderr},
                     {"n", result.n},
                     {"shots", result.shots},
                     {"baseline", result.baseline},
                     {"kind", task_kind_name(result.kind)}};
  if (result.acc_norm) {
    json["acc_norm,none"] = *result.acc_norm;
    json["acc_norm_stderr,none"] = *result.acc_norm_stderr;
  }
  if (result.perplexity) {
    json["perplexity,none"] = *result.perplexity;
    json["perplexity_stderr,none"] = *result.perplexity_stderr;
  }
  if (reference) {
    const TaskComparison comparison = compare(result, *reference);
    json["difference"] = {{"mean", comparison.acc.mean},
                          {"stderr", comparison.acc.standard_error},
                          {"low", comparison.acc.low},
                          {"high", comparison.acc.high},
                          {"p", comparison.mcnemar.p}};
  }
  return json;
}

void check_task_gate(double percent, const std::vector<TaskResult>& model,
                     const std::vector<TaskResult>& reference) {
  AQ_CHECK(model.size() == reference.size() && !model.empty(), "{} and {} tasks", model.size(),
           reference.size());
  double found = 0, wanted = 0;
  for (size_t i = 0; i < model.size(); ++i) {
    found += model[i].chance_corrected() / static_cast<double>(model.size());
    wanted += reference[i].chance_corrected() / static_cast<double>(model.size());
  }
  if (!(found >= wanted * percent / 100))
    throw base::GateMissed(
        fmt::format("gate missed: mean chance-corrected accuracy {:.4f}, expected at least {:.4f} ({:g} % of "
                    "the reference's {:.4f})",
                    found, wanted * percent / 100, percent, wanted));
}

void check_perplexity_gate(double percent, double model, double reference) {
  if (!(model <= reference * 100 / percent))
    throw base::GateMissed(
        fmt::format("gate missed: perplexity {:.4f}, expected at most {:.4f} (reference {:.4f}, {:g} %)",
                    model, reference * 100 / percent, reference, percent));
}

}  // namespace aquatint::eval
