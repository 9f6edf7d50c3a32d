#include "eval/item_text.h"

#include <algorithm>

#include "eval/tasks.h"

namespace aquatint::eval {
namespace {

constexpr size_t kKept = 1000;  // bytes of a question or an option

}  // namespace

std::string text_end(std::string_view text, size_t longest) {
  if (text.size() <= longest) return std::string(text);
  size_t begin = text.size() - longest;
  while (begin < text.size() && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) ++begin;
  return "…" + std::string(text.substr(begin));
}

std::string kept_text(std::string_view text) { return text_end(text, kKept); }

std::vector<ItemText> item_texts(const Task& task, size_t count) {
  std::vector<ItemText> texts;
  if (task.config.kind == TaskKind::rolling) return texts;
  for (size_t i = 0; i < count; ++i) {
    const TaskItem& item = task.items[i];
    ItemText& text = texts.emplace_back();
    text.line = item.line;
    text.question = kept_text(item.questions.front());
    for (const std::string& option : task.config.kind == TaskKind::schema ? item.questions : item.choices)
      text.options.push_back(kept_text(option));
  }
  return texts;
}

std::string answer_text(TaskKind kind, const ItemText& item, const ItemResult& result) {
  if (kind == TaskKind::generation) return result.text;
  if (kind == TaskKind::language_modelling) return result.greedy ? item.options.front() : "another text";
  const auto best = std::max_element(result.log_likelihoods.begin(), result.log_likelihoods.end());
  return item.options[static_cast<size_t>(best - result.log_likelihoods.begin())];
}

}  // namespace aquatint::eval
