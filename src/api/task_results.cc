#include "api/task_results.h"

#include <algorithm>

#include "base/hash.h"
#include "base/log.h"
#include "base/machine.h"
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

// Scored again, by the task's configuration as it is now.
eval::TaskResult from_record(const eval::Task& task, const report::TaskRecord& record) {
  eval::TaskResult result;
  result.items = record.result.items;
  result.cut = record.result.cut;
  eval::finish_result(task, result);
  return result;
}

}  // namespace

std::string subject_sha256(const checkpoint::Checkpoint& checkpoint) {
  base::Sha256 hash;
  const auto add = [&](std::string_view text) {
    const uint64_t size = text.size();
    hash.update(std::as_bytes(std::span(&size, 1)));
    hash.update(std::as_bytes(std::span(text)));
  };
  add(checkpoint.sha256());
  add(checkpoint.config().dump());
  for (const checkpoint::SideFile& file : checkpoint.side_files()) {
    add(file.name);
    add(file.bytes);
  }
  return hash.hex();
}

eval::TaskResult task_result(const TaskSubject& subject, const eval::Task& task,
                             const eval::TaskOptions& options, report::TaskStore* store) {
  if (!store) return eval::run_task(*subject.model, *subject.tokenizer, task, options);
  const size_t count =
      options.limit > 0 ? std::min(task.items.size(), static_cast<size_t>(options.limit)) : task.items.size();
  report::TaskRecord record = {.model_sha256 = subject.sha256,
                               .task_sha256 = eval::task_sha256(task, count, options.seed),
                               .settings = settings_of(subject, options)};
  auto found = store->find(record.model_sha256, record.task_sha256, record.settings);
  if (found && found->result.items.size() == count) {
    base::info("{}: from the store, measured {} by version {}", task.name, found->date, found->version);
    found->result = from_record(task, *found);
    if (!found->items_sha256.empty()) return found->result;
    record = std::move(*found);  // from before items could be paired: completed
  } else {
    record.model = subject.name;
    record.version = base::version();
    record.cpu = base::cpu_name();
    record.date = base::utc_date();
    record.result = eval::run_task(*subject.model, *subject.tokenizer, task, options);
  }
  std::vector<std::string> items;
  for (const eval::ItemPrompts& prompts : eval::item_prompts(task, count, options))
    items.push_back(eval::item_sha256(prompts));
  record.items_sha256 = eval::items_sha256(items);
  store->save(record);
  return record.result;
}

}  // namespace aquatint::api
