// Log-likelihoods of continuations, many requests at a time. The continuations of one request share its
// context, which runs once.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "model/model.h"

namespace aquatint::eval {

struct Request {
  std::vector<int32_t> context;                     // at least one token
  std::vector<std::vector<int32_t>> continuations;  // at least one token each

  size_t longest_continuation() const;
};

struct ContinuationScore {
  double log_likelihood = 0;  // natural, summed over the tokens
  bool greedy = true;         // every token was the most likely one
};

// One vector per request, one score per continuation. Requests of similar length run together, about
// `batch_tokens` context tokens at a time; by the kernels' contract the scores do not depend on that. A
// context is cut at its start where context and continuation would pass the model's positions.
std::vector<std::vector<ContinuationScore>> score(model::Model& model, std::vector<Request> requests,
                                                  int64_t batch_tokens = 2048);

}  // namespace aquatint::eval
