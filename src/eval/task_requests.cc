#include "eval/task_requests.h"

#include <algorithm>

#include "base/error.h"
#include "base/rng.h"

namespace aquatint::eval {
namespace {

constexpr std::string_view kSpaces = " \t\n\r\f\v";

bool starts_with_space(const std::string& text) {
  return kSpaces.find(text.front()) != std::string_view::npos;
}

size_t trimmed_length(std::string_view text) { return text.find_last_not_of(kSpaces) + 1; }  // npos + 1 = 0

std::string right_answer(const TaskItem& item, const std::string& delimiter) {
  const bool by_context = item.contexts.size() > 1, by_choice = item.continuations.size() > 1;
  const std::string& context = item.contexts[by_context ? static_cast<size_t>(item.gold) : 0];
  const std::string& continuation = item.continuations[by_choice ? static_cast<size_t>(item.gold) : 0];
  const ContextAndContinuation joined = join(context, delimiter, continuation);
  return joined.context + joined.continuation;
}

std::vector<int32_t> encode(const text::Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> tokens = tokenizer.encode(text, false);
  if (const auto bos = tokenizer.bos_id()) tokens.insert(tokens.begin(), *bos);
  return tokens;
}

}  // namespace

ContextAndContinuation join(const std::string& context, const std::string& delimiter,
                            const std::string& continuation) {
  std::string before = context + delimiter;
  if (starts_with_space(continuation)) before.resize(context.size() + trimmed_length(delimiter));
  const size_t kept = trimmed_length(before);
  return {before.substr(0, kept), before.substr(kept) + continuation};
}

std::string example_text(const Task& task, size_t index, uint64_t seed) {
  base::Rng rng(seed + 0x9e3779b97f4a7c15u * (index + 1));
  std::vector<size_t> chosen;
  std::string text;
  while (chosen.size() < static_cast<size_t>(task.settings.shots)) {
    const size_t candidate = rng.below(task.items.size());
    if (candidate == index || std::find(chosen.begin(), chosen.end(), candidate) != chosen.end()) continue;
    chosen.push_back(candidate);
    text += right_answer(task.items[candidate], task.settings.delimiter) + task.settings.example_delimiter;
  }
  return text;
}

std::vector<Request> item_requests(const Task& task, size_t index, uint64_t seed,
                                   const text::Tokenizer& tokenizer, int32_t fallback) {
  const TaskItem& item = task.items[index];
  const std::string examples = example_text(task, index, seed);
  std::vector<Request> requests;
  for (const std::string& context : item.contexts) {
    Request request;
    for (const std::string& continuation : item.continuations) {
      const ContextAndContinuation joined = join(examples + context, task.settings.delimiter, continuation);
      const std::vector<int32_t> before = encode(tokenizer, joined.context);
      const std::vector<int32_t> both = encode(tokenizer, joined.context + joined.continuation);
      if (both.size() <= before.size())
        throw base::BadInput(fmt::format("{}, line {}: the continuation adds no token to its context",
                                         task.file.string(), item.line));
      // Choices that move different spaces over would not share a context: each then runs as its own request.
      if (!request.continuations.empty() && request.context != before)
        requests.push_back(std::exchange(request, {}));
      request.context = before;
      request.continuations.emplace_back(both.begin() + static_cast<int64_t>(before.size()), both.end());
    }
    requests.push_back(std::move(request));
  }
  for (Request& request : requests)
    if (request.context.empty()) request.context = {fallback};
  return requests;
}

}  // namespace aquatint::eval
