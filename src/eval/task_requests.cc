#include "eval/task_requests.h"

#include <algorithm>

#include "base/error.h"
#include "eval/examples.h"

namespace aquatint::eval {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kSpaces = " \t\n\r\f\v";

bool starts_with_space(std::string_view text) {
  return !text.empty() && kSpaces.find(text.front()) != std::string_view::npos;
}

ordered_json message(std::string_view role, std::string content) {
  return {{"role", role}, {"content", std::move(content)}};
}

}  // namespace

Prompter::Prompter(const Task& task, size_t count, const TaskOptions& options)
    : task_(task), options_(options), examples_(choose_examples(task, count, options.seed)) {}

std::string Prompter::between(const std::string& answer) const {
  return task_.config.drops_double_spaces && starts_with_space(answer) ? "" : task_.config.delimiter;
}

std::string Prompter::continuation(const std::string& choice) const {
  // Behind a chat template's prompt the answer starts the assistant's turn.
  if (!task_.config.delimiter_is_scored ||
      (options_.chat && task_.config.kind != TaskKind::language_modelling))
    return choice;
  return between(choice) + choice;
}

std::string Prompter::plain(const TaskItem& item, const std::vector<size_t>& examples,
                            const std::string& question) const {
  std::string text = item.preamble;
  for (const size_t place : examples) {
    const TaskItem& example = task_.examples()[place];
    text += example.example_question + between(example.example_answer) + example.example_answer +
            task_.config.example_delimiter;
  }
  return text + question;
}

std::string Prompter::chat(const TaskItem& item, const std::vector<size_t>& examples,
                           const std::string& question) const {
  ordered_json messages = ordered_json::array();
  if (!item.preamble.empty()) messages.push_back(message("system", item.preamble));
  if (options_.one_turn) {
    TaskItem bare = item;
    bare.preamble.clear();
    messages.push_back(message("user", plain(bare, examples, question)));
  } else {
    for (const size_t place : examples) {
      const TaskItem& example = task_.examples()[place];
      messages.push_back(message("user", example.example_question));
      messages.push_back(message("assistant", example.example_answer));
    }
    messages.push_back(message("user", question));
  }
  return options_.chat->render(messages, true);
}

std::vector<std::string> Prompter::contexts(size_t index) const {
  const TaskItem& item = task_.items[index];
  std::vector<std::string> texts;
  for (const std::string& question : item.questions)
    texts.push_back(options_.chat ? chat(item, examples_[index], question)
                                  : plain(item, examples_[index], question));
  return texts;
}

std::vector<ContextAndContinuation> Prompter::prompts(size_t index) const {
  const TaskItem& item = task_.items[index];
  std::vector<ContextAndContinuation> all;
  for (const std::string& context : contexts(index)) {
    for (const std::string& choice : item.choices) all.push_back({context, continuation(choice)});
    if (item.choices.empty()) all.push_back({context, ""});
  }
  return all;
}

ContextAndContinuation move_spaces(const std::string& context, const std::string& continuation) {
  const size_t kept = context.find_last_not_of(kSpaces) + 1;  // npos + 1 = 0
  return {context.substr(0, kept), context.substr(kept) + continuation};
}

std::vector<int32_t> Encoder::encode(std::string_view text) const {
  std::vector<int32_t> tokens = tokenizer_.encode(text, false);
  if (const auto bos = tokenizer_.bos_id(); bos && (tokens.empty() || tokens.front() != *bos))
    tokens.insert(tokens.begin(), *bos);
  return tokens;
}

Request Encoder::pair(const std::string& context, const std::string& continuation) const {
  if (context.empty())
    return {{tokenizer_.bos_id().value_or(fallback_)}, {tokenizer_.encode(continuation, false)}};
  const ContextAndContinuation moved = move_spaces(context, continuation);
  Request request = {encode(moved.context), {}};
  const std::vector<int32_t> both = encode(moved.context + moved.continuation);
  const size_t split = std::min(request.context.size(), both.size());
  request.continuations = {{both.begin() + static_cast<ptrdiff_t>(split), both.end()}};
  if (request.context.empty()) request.context = {fallback_};
  return request;
}

std::vector<Request> item_requests(const Task& task, size_t index, const Prompter& prompter,
                                   const Encoder& encoder) {
  const TaskItem& item = task.items[index];
  std::vector<Request> requests;
  for (const std::string& context : prompter.contexts(index)) {
    bool first = true;
    for (const std::string& choice : item.choices) {
      Request pair = encoder.pair(context, prompter.continuation(choice));
      if (pair.continuations.front().empty())
        throw base::BadInput(fmt::format("{}, line {}: the continuation adds no token to its context",
                                         task.file.string(), item.line));
      // Choices that move different spaces over do not share a context: each then runs as its own request.
      if (!std::exchange(first, false) && requests.back().context == pair.context)
        requests.back().continuations.push_back(std::move(pair.continuations.front()));
      else
        requests.push_back(std::move(pair));
    }
  }
  return requests;
}

std::vector<Request> rolling_requests(const std::vector<int32_t>& tokens, int32_t prefix, int64_t positions) {
  std::vector<Request> requests;
  const auto size = std::ssize(tokens);
  for (int64_t done = 0; done < size;) {
    const int64_t count = std::min(positions, size - done);
    // The last window reaches back so far that it is full as well; the harness' first one has the prefix
    // alone.
    const int64_t begin = done == 0 ? 0 : std::max<int64_t>(0, done + count - positions - 1);
    Request request;
    if (done == 0)
      request.context = {prefix};
    else
      request.context.assign(tokens.begin() + begin, tokens.begin() + done);
    request.continuations = {{tokens.begin() + done, tokens.begin() + done + count}};
    requests.push_back(std::move(request));
    done += count;
  }
  return requests;
}

}  // namespace aquatint::eval
