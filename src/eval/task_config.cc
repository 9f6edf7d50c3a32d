#include "eval/task_config.h"

#include <algorithm>

#include "base/error.h"

namespace aquatint::eval {

namespace {

// In the order of TaskKind.
constexpr std::string_view kKindNames[] = {"multiple choice", "schema", "language modelling",
                                           "rolling perplexity", "generation"};

}  // namespace

std::string_view task_kind_name(TaskKind kind) { return kKindNames[static_cast<size_t>(kind)]; }

std::optional<TaskKind> task_kind_named(std::string_view name) {
  const auto found = std::find(std::begin(kKindNames), std::end(kKindNames), name);
  if (found == std::end(kKindNames)) return std::nullopt;
  return static_cast<TaskKind>(found - std::begin(kKindNames));
}

Field::Field(nlohmann::ordered_json source, const std::string& where) : source_(std::move(source)) {
  if (source_.is_string())
    template_ = std::make_shared<const text::DocumentTemplate>(source_.get_ref<const std::string&>(), where);
  if (!source_.is_object()) return;
  nlohmann::ordered_json values = nlohmann::ordered_json::array();
  for (const auto& value : source_) values.push_back(value);
  source_ = std::move(values);
}

nlohmann::ordered_json Field::of(const Document& document) const {
  if (!template_) return source_;
  const auto named = document.find(source_.get_ref<const std::string&>());
  return named != document.end() ? *named : template_->value(document);
}

void TaskConfig::set_delimiter(std::string_view text) {
  const size_t kept = text.find_last_not_of(" \t\n\r\f\v") + 1;  // npos + 1 = 0
  question_suffix = text.substr(0, kept);
  delimiter = text.substr(kept);
}

const std::string& TaskConfig::item_split() const {
  return test_split.empty() ? validation_split : test_split;
}

const std::string& TaskConfig::example_split() const {
  for (const std::string* split : {&fewshot_split, &training_split, &validation_split})
    if (!split->empty()) return *split;
  return test_split;
}

}  // namespace aquatint::eval
