// From task items to token requests: examples, delimiters, joint tokenization.
#pragma once
#include <string>
#include <vector>

#include "eval/scoring.h"
#include "eval/tasks.h"

namespace aquatint::eval {

// `text` before the continuation and the continuation as they are tokenized: trailing spaces of context +
// delimiter moved over, none added before a continuation that starts with one.
struct ContextAndContinuation {
  std::string context, continuation;
};
ContextAndContinuation join(const std::string& context, const std::string& delimiter,
                            const std::string& continuation);

// `settings.shots` other items with their right answers, each followed by the example delimiter. Which ones
// depends on seed and index alone.
std::string example_text(const Task& task, size_t index, uint64_t seed);

// One request per context of the item. `fallback` stands in for an empty context (the model's BOS or EOS).
std::vector<Request> item_requests(const Task& task, size_t index, uint64_t seed,
                                   const text::Tokenizer& tokenizer, int32_t fallback);

}  // namespace aquatint::eval
