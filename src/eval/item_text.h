// Items and answers in words, for examples of what changed where the documents are not at hand.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace aquatint::eval {

struct Task;
struct ItemResult;
enum class TaskKind;

struct ItemText {
  int64_t line = 0;                  // in the file, from 1
  std::string question;              // its end where it is long
  std::vector<std::string> options;  // what the log-likelihoods belong to; none of a generated answer
};

// Of the first `count` items; empty for tasks without right answers.
std::vector<ItemText> item_texts(const Task& task, size_t count);

// What a model answered: the option it prefers, or its text.
std::string answer_text(TaskKind kind, const ItemText& item, const ItemResult& result);

// As much of a question or an option as is kept.
std::string kept_text(std::string_view text);

// The last `longest` bytes of a text, or a few less so that no character is cut.
std::string text_end(std::string_view text, size_t longest);

}  // namespace aquatint::eval
