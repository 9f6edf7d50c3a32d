// One record per item and filter → items and the scores of each.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "base/error.h"
#include "eval/harness_json.h"
#include "eval/harness_results.h"
#include "eval/task_identity.h"

namespace aquatint::eval {
namespace {

using base::Json;

double number(const Json& value, const std::string& where) {
  double number = std::numeric_limits<double>::quiet_NaN();
  if (value.is_number()) number = value.get<double>();
  if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size())
      number = std::numeric_limits<double>::quiet_NaN();
  }
  if (!std::isfinite(number))
    throw base::BadInput(
        fmt::format("{}: {} where a finite log-likelihood is expected", where, text_end(value.dump(), 40)));
  return number;
}

const Json& array_at(const Json& json, const char* key, const std::string& where) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_array() || found->empty())
    throw base::BadInput(fmt::format("{}: '{}' is no list with something in it", where, key));
  return *found;
}

// What the task's requests were; the second argument of a request to generate is how, and left out.
ItemPrompts prompts_of(const Json& sample, TaskKind kind, const std::string& where) {
  const Json& arguments = object_or_empty(sample, "arguments");
  ItemPrompts prompts;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string key = fmt::format("gen_args_{}", i);
    const Json& request = object_or_empty(arguments, key.c_str());
    const std::string first = base::require_string(request, "arg_0", where + ": " + key);
    if (kind == TaskKind::rolling)
      prompts.push_back({"", first});
    else if (kind == TaskKind::generation)
      prompts.push_back({first, ""});
    else
      prompts.push_back({first, base::require_string(request, "arg_1", where + ": " + key)});
  }
  if (prompts.empty()) throw base::BadInput(where + ": 'arguments' holds no request");
  return prompts;
}

// The text of a generated answer: the first of its repeats.
std::string generated(const Json& sample, const std::string& where) {
  const Json* text = &array_at(sample, "resps", where).front();
  while (text->is_array() && !text->empty()) text = &text->front();
  if (!text->is_string()) throw base::BadInput(where + ": 'resps' holds no text");
  return text->get<std::string>();
}

ItemResult answers_of(const Json& sample, TaskKind kind, size_t requests, const std::string& where) {
  ItemResult item;
  if (kind == TaskKind::generation) {
    item.text = generated(sample, where);
    return item;
  }
  const Json& responses = array_at(sample, "filtered_resps", where);
  if (responses.size() != requests)
    throw base::BadInput(fmt::format("{}: {} responses to {} requests", where, responses.size(), requests));
  for (const Json& response : responses) {
    const bool pair = response.is_array() && response.size() == 2;
    if (item.log_likelihoods.empty() && pair)
      item.greedy = response[1] == Json("True") || response[1] == Json(true);
    item.log_likelihoods.push_back(number(pair ? response[0] : response, where));
  }
  return item;
}

bool shares_continuation(const ItemPrompts& prompts) {
  return prompts.size() > 1 && prompts[0].context != prompts[1].context &&
         std::all_of(prompts.begin(), prompts.end(),
                     [&](const auto& prompt) { return prompt.continuation == prompts[0].continuation; });
}

ItemText text_of(const ItemPrompts& prompts, TaskKind kind, int64_t document) {
  ItemText text;
  text.line = document + 1;
  text.question = kept_text(prompts.front().context);
  if (kind == TaskKind::generation) return text;
  for (const auto& [context, continuation] : prompts)
    text.options.push_back(kept_text(
        shares_continuation(prompts) ? context : continuation.substr(continuation.starts_with(' ') ? 1 : 0)));
  return text;
}

// A value and its weight; nullopt for what is not understood.
std::optional<std::pair<double, double>> value_of(const Json& sample, const std::string& metric) {
  const auto value = sample.find(metric);
  if (value == sample.end()) return std::nullopt;
  if (value->is_boolean()) return std::pair(value->get<bool>() ? 1.0 : 0.0, 1.0);
  if (value->is_number()) return std::pair(value->get<double>(), 1.0);
  if (value->is_array() && value->size() == 2 && value->at(0).is_number() && value->at(1).is_number() &&
      value->at(1).get<double>() > 0)
    return std::pair(value->at(0).get<double>(), value->at(1).get<double>());
  return std::nullopt;
}

double guessing(const TaskResult& result) {
  if (result.kind != TaskKind::multiple_choice && result.kind != TaskKind::schema) return 0;
  double sum = 0;
  for (const ItemResult& item : result.items)
    if (item.log_likelihoods.size() > 1) sum += 1 / static_cast<double>(item.log_likelihoods.size());
  return sum / static_cast<double>(result.items.size());
}

void check_mean(const Metric& metric, const std::string& where) {
  constexpr double kRounding = 1e-9;
  double sum = 0;
  for (const double value : metric.values) sum += value;
  const double mean = sum / static_cast<double>(metric.values.size());
  if (!(std::abs(mean - metric.value) <= kRounding))
    throw base::BadInput(fmt::format(
        "{}: the mean of {} over its documents is {}, the results say {}; they are of another run", where,
        metric.key(), mean, metric.value));
}

class Samples {
 public:
  explicit Samples(TaskKind kind) : kind_(kind) {}

  void add(std::string_view line, const std::string& where) {
    const Json sample = base::parse_json(line, where);
    if (!sample.is_object()) throw base::BadInput(where + ": expected an object");
    const int64_t document = base::require_int(sample, "doc_id", where, 0, INT64_MAX - 1);
    const std::string filter = base::string_or(sample, "filter", "none", where);
    const auto [place, is_new] = items_.try_emplace(document);
    Item& item = place->second;
    if (is_new) item = read_item(sample, document, where);
    for (const Json& name : array_at(sample, "metrics", where)) {
      if (!name.is_string()) throw base::BadInput(where + ": 'metrics' holds something other than names");
      const std::string& metric = name.get_ref<const std::string&>();
      const std::string key = metric + "," + filter;
      if (std::find(keys_.begin(), keys_.end(), key) == keys_.end()) keys_.push_back(key);
      const auto value = value_of(sample, metric);
      if (value && !item.values.try_emplace(key, *value).second)
        throw base::BadInput(
            fmt::format("{}: document {} comes twice with filter '{}'", where, document, filter));
    }
  }

  void finish(HarnessTask& task, const std::string& where) const {
    TaskResult& result = task.result;
    check_count(result, where);
    std::vector<std::string> hashes;
    bool all_schema = true;
    for (const auto& [document, item] : items_) {
      hashes.push_back(item.sha256);
      result.items.push_back(item.result);
      if (kind_ != TaskKind::rolling) result.texts.push_back(item.text);
      all_schema = all_schema && item.is_schema;
    }
    if (all_schema && kind_ == TaskKind::multiple_choice) result.kind = TaskKind::schema;
    task.items_sha256 = items_sha256(hashes);
    order(result.metrics);
    for (Metric& metric : result.metrics) add_values(metric, where);
    if (result.baseline == 0) result.baseline = guessing(result);
  }

 private:
  // As its records tell it, one for each filter.
  struct Item {
    ItemResult result;
    ItemText text;
    std::string sha256;
    bool is_schema = false;
    std::map<std::string, std::pair<double, double>> values;  // by key of the metric: value, weight
  };

  Item read_item(const Json& sample, int64_t document, const std::string& where) const {
    const ItemPrompts prompts = prompts_of(sample, kind_, where);
    Item item;
    item.result = answers_of(sample, kind_, prompts.size(), where);
    item.text = text_of(prompts, kind_, document);
    item.sha256 = item_sha256(prompts);
    item.is_schema = shares_continuation(prompts);
    return item;
  }

  void check_count(TaskResult& result, const std::string& where) const {
    const auto count = std::ssize(items_);
    if (count == 0) throw base::BadInput(where + ": holds no records");
    if (result.n == 0) result.n = count;
    if (count != result.n)
      throw base::BadInput(fmt::format("{}: {} documents, the results are of {}; they are of another run",
                                       where, count, result.n));
  }

  // As the samples name them: what comes first is what comparisons are about.
  void order(std::vector<Metric>& metrics) const {
    const auto place = [&](const Metric& metric) {
      return std::find(keys_.begin(), keys_.end(), metric.key()) - keys_.begin();
    };
    std::stable_sort(metrics.begin(), metrics.end(),
                     [&](const Metric& a, const Metric& b) { return place(a) < place(b); });
  }

  // Only where every item has one.
  void add_values(Metric& metric, const std::string& where) const {
    for (const auto& [document, item] : items_) {
      const auto value = item.values.find(metric.key());
      if (value == item.values.end()) {
        metric.values.clear();
        metric.weights.clear();
        return;
      }
      metric.values.push_back(value->second.first);
      metric.weights.push_back(value->second.second);
    }
    if (metric.name.starts_with("acc") || metric.name == "exact_match") check_mean(metric, where);
  }

  TaskKind kind_;
  std::map<int64_t, Item> items_;  // by document
  std::vector<std::string> keys_;  // of metrics, in the order they are first named
};

}  // namespace

void add_harness_samples(HarnessTask& task, std::string_view lines, const std::string& where) {
  Samples samples(task.result.kind);
  for (int number = 1; !lines.empty(); ++number) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    if (line.find_first_not_of(" \t\r") != std::string_view::npos)
      samples.add(line, fmt::format("{}, line {}", where, number));
  }
  samples.finish(task, where);
}

}  // namespace aquatint::eval
