// From task items to token requests: preamble, examples, delimiters, chat template, joint tokenization.
#pragma once
#include <string>
#include <vector>

#include "eval/scoring.h"
#include "eval/tasks.h"

namespace aquatint::eval {

// A text to run and a text to score after it.
struct ContextAndContinuation {
  std::string context, continuation;
};

// Makes the prompts of a task's items.
class Prompter {
 public:
  // All must outlive the prompter. Examples are chosen for the first `count` items.
  Prompter(const Task& task, size_t count, const TaskOptions& options);

  // What stands before the continuations: one text per question of the item.
  std::vector<std::string> contexts(size_t item) const;
  // A choice as it follows its context.
  std::string continuation(const std::string& choice) const;
  // Everything that is scored of an item; a generation item has one context and nothing after it.
  std::vector<ContextAndContinuation> prompts(size_t item) const;

 private:
  std::string between(const std::string& answer) const;
  std::string plain(const TaskItem& item, const std::vector<size_t>& examples,
                    const std::string& question) const;
  std::string chat(const TaskItem& item, const std::vector<size_t>& examples,
                   const std::string& question) const;

  const Task& task_;
  const TaskOptions& options_;
  std::vector<std::vector<size_t>> examples_;
};

// Trailing spaces of the context moved over to the continuation.
ContextAndContinuation move_spaces(const std::string& context, const std::string& continuation);

// The model's view of texts.
class Encoder {
 public:
  // `fallback` stands in for an empty context (the model's BOS or EOS).
  Encoder(const text::Tokenizer& tokenizer, int32_t fallback) : tokenizer_(tokenizer), fallback_(fallback) {}

  // With the BOS that the tokenizer's own rule adds, unless the text starts with it.
  std::vector<int32_t> encode(std::string_view text) const;
  // Context and continuation tokenized together and split at the context's length. The continuation may come
  // out empty.
  Request pair(const std::string& context, const std::string& continuation) const;
  int32_t fallback() const { return fallback_; }

 private:
  const text::Tokenizer& tokenizer_;
  int32_t fallback_;
};

// One request per context of the item, more where its choices do not share one. BadInput when a continuation
// adds no token.
std::vector<Request> item_requests(const Task& task, size_t item, const Prompter& prompter,
                                   const Encoder& encoder);

// The windows that a whole text is predicted in, each token once: lm-evaluation-harness' rule, in which
// windows share one token.
std::vector<Request> rolling_requests(const std::vector<int32_t>& tokens, int32_t prefix, int64_t positions);

}  // namespace aquatint::eval
