#include "api/task_results.h"

#include <algorithm>

#include "base/log.h"
#include "base/machine.h"
#include "eval/metrics.h"
#include "eval/task_identity.h"

namespace aquatint::api {
namespace {

std::string settings_of(const TaskSubject& subject, const eval::TaskOptions& options) {
  return base::Json({{"arithmetic", subject.arithmetic},
                     {"chat", options.chat != nullptr},
                     {"one_turn", options.one_turn},
                     {"stop_ids", options.stop_ids}})
      .dump();
}

eval::TaskResult from_record(const eval::Task& task, const report::TaskRecord& record) {
  eval::TaskResult result;
  for (const report::TaskRecord::Item& item : record.items)
    result.items.push_back({item.log_likelihoods, item.greedy, item.text, item.tokens});
  result.cut = record.cut;
  eval::finish_result(task, result);
  return result;
}

report::TaskRecord to_record(const TaskSubject& subject, const eval::TaskResult& result) {
  report::TaskRecord record;
  record.model = subject.name;
  record.task = result.name;
  record.kind = eval::task_kind_name(result.kind);
  record.version = base::version();
  record.cpu = base::cpu_name();
  record.date = base::utc_date();
  record.shots = result.shots;
  record.baseline = result.baseline;
  record.cut = result.cut;
  for (const eval::ItemResult& item : result.items)
    record.items.push_back({item.log_likelihoods, item.greedy, item.text, item.tokens});
  for (const eval::Metric& metric : result.metrics)
    record.scores.push_back({metric.key(), metric.value, metric.standard_error});
  return record;
}

}  // namespace

eval::TaskResult task_result(const TaskSubject& subject, const eval::Task& task,
                             const eval::TaskOptions& options, report::TaskStore* store) {
  if (!store) return eval::run_task(*subject.model, *subject.tokenizer, task, options);
  const size_t count =
      options.limit > 0 ? std::min(task.items.size(), static_cast<size_t>(options.limit)) : task.items.size();
  const std::string task_sha256 = eval::task_sha256(task, count, options.seed),
                    settings = settings_of(subject, options);
  if (const auto record = store->find(subject.sha256, task_sha256, settings);
      record && record->items.size() == count) {
    base::info("{}: from the store, measured {} by version {}", task.name, record->date, record->version);
    return from_record(task, *record);
  }
  const eval::TaskResult result = eval::run_task(*subject.model, *subject.tokenizer, task, options);
  report::TaskRecord record = to_record(subject, result);
  record.model_sha256 = subject.sha256;
  record.task_sha256 = task_sha256;
  record.settings = settings;
  store->save(record);
  return result;
}

}  // namespace aquatint::api
