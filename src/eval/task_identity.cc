#include "eval/task_identity.h"

#include "base/hash.h"

namespace aquatint::eval {
namespace {

base::Json filters(const TaskConfig& config) {
  base::Json all = base::Json::array();
  for (const AnswerFilter& filter : config.filters) {
    base::Json steps = base::Json::array();
    for (const FilterStep& step : filter.steps)
      steps.push_back({static_cast<int>(step.kind), step.pattern, step.group, step.fallback});
    all.push_back({filter.name, steps});
  }
  return all;
}

base::Json metrics(const TaskConfig& config) {
  base::Json all = base::Json::array();
  for (const MetricConfig& m : config.metrics)
    all.push_back({m.name, m.ignore_case, m.ignore_punctuation, m.ignore_numbers, m.ignored_patterns});
  return all;
}

void add(base::Sha256& hash, const base::Json& json) {
  const std::string text = json.dump() + "\n";
  hash.update(std::as_bytes(std::span(text)));
}

}  // namespace

std::string task_sha256(const Task& task, size_t count, uint64_t seed) {
  base::Sha256 hash;
  const TaskConfig& config = task.config;
  add(hash, {static_cast<int>(config.kind), config.shots, config.until, config.max_tokens, filters(config),
             metrics(config), task.baseline, count});
  TaskOptions options;
  options.seed = seed;
  const Prompter prompter(task, count, options);
  for (size_t i = 0; i < count; ++i) {
    const TaskItem& item = task.items[i];
    base::Json prompts = base::Json::array();
    for (const ContextAndContinuation& prompt : prompter.prompts(i))
      prompts.push_back({prompt.context, prompt.continuation});
    add(hash, {prompts, item.questions.size(), item.choices, item.gold, item.answers});
  }
  return hash.hex();
}

std::vector<ItemPrompts> item_prompts(const Task& task, size_t count, const TaskOptions& options) {
  const Prompter prompter(task, count, options);
  std::vector<ItemPrompts> items;
  for (size_t i = 0; i < count; ++i)
    items.push_back(task.config.kind == TaskKind::rolling ? ItemPrompts{{"", task.items[i].choices.front()}}
                                                          : prompter.prompts(i));
  return items;
}

std::string item_sha256(const ItemPrompts& prompts) {
  base::Json texts = base::Json::array();
  for (const ContextAndContinuation& prompt : prompts) texts.push_back({prompt.context, prompt.continuation});
  base::Sha256 hash;
  add(hash, texts);
  return hash.hex();
}

std::string items_sha256(const std::vector<std::string>& item_sha256s) {
  base::Sha256 hash;
  add(hash, item_sha256s);
  return hash.hex();
}

}  // namespace aquatint::eval
