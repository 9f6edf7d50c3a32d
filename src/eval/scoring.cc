#include "eval/scoring.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/log.h"
#include "eval/head.h"

namespace aquatint::eval {
namespace {

constexpr uint64_t kCacheBytes = uint64_t{256} << 20;  // of one batch; a single long request may take more

// Requests that run together.
class Batch {
 public:
  Batch(model::Model& model, Head& head, std::vector<Request>& requests, std::vector<size_t> members)
      : model_(model), head_(head), requests_(requests), members_(std::move(members)) {}

  void run(std::vector<std::vector<ContinuationScore>>& scores) {
    run_contexts();
    size_t most = 0;
    for (const size_t member : members_) most = std::max(most, requests_[member].continuations.size());
    for (size_t choice = 0; choice < most; ++choice) run_choice(choice, scores);
  }

 private:
  int64_t width() const { return model_.config().hidden_size; }

  // Fills the caches and keeps the state after each context, which predicts the first token of every
  // continuation.
  void run_contexts() {
    std::vector<int32_t> tokens;
    for (const size_t member : members_) {
      const Request& request = requests_[member];
      const auto length = static_cast<int64_t>(request.context.size());
      const auto more = static_cast<int64_t>(request.longest_continuation()) - 1;
      caches_.emplace_back(model_.config(), length + more, model_.backend().kv_format(), more);
      tokens.insert(tokens.end(), request.context.begin(), request.context.end());
    }
    std::vector<model::Segment> segments;
    for (size_t i = 0; i < members_.size(); ++i)
      segments.push_back({&caches_[i], static_cast<int64_t>(requests_[members_[i]].context.size())});
    std::vector<float> hidden(tokens.size() * static_cast<size_t>(width()));
    model_.forward(tokens, segments, kernels::Phase::prefill, hidden.data());
    int64_t end = 0;
    for (const model::Segment& segment : segments) {
      end += segment.rows;
      after_context_.insert(after_context_.end(), hidden.begin() + (end - 1) * width(),
                            hidden.begin() + end * width());
    }
  }

  // Continuation `choice` of every request that has one: all its tokens but the last run behind the context,
  // and the caches forget them again.
  void run_choice(size_t choice, std::vector<std::vector<ContinuationScore>>& scores) {
    std::vector<int32_t> tokens;
    std::vector<model::Segment> segments;
    for (size_t i = 0; i < members_.size(); ++i) {
      const auto* continuation = continuation_of(i, choice);
      if (!continuation || continuation->size() < 2) continue;
      tokens.insert(tokens.end(), continuation->begin(), continuation->end() - 1);
      segments.push_back({&caches_[i], static_cast<int64_t>(continuation->size()) - 1});
    }
    std::vector<float> hidden(tokens.size() * static_cast<size_t>(width()));
    if (!tokens.empty()) model_.forward(tokens, segments, kernels::Phase::prefill, hidden.data());
    for (size_t i = 0; i < members_.size(); ++i)
      caches_[i].truncate(static_cast<int64_t>(requests_[members_[i]].context.size()));
    add_scores(choice, hidden, scores);
  }

  void add_scores(size_t choice, const std::vector<float>& hidden,
                  std::vector<std::vector<ContinuationScore>>& scores) {
    std::vector<int32_t> targets;
    std::vector<float> states;
    auto from = hidden.begin();
    for (size_t i = 0; i < members_.size(); ++i) {
      const auto* continuation = continuation_of(i, choice);
      if (!continuation) continue;
      targets.insert(targets.end(), continuation->begin(), continuation->end());
      const auto first = after_context_.begin() + static_cast<int64_t>(i) * width();
      states.insert(states.end(), first, first + width());
      const auto end = from + (static_cast<int64_t>(continuation->size()) - 1) * width();
      states.insert(states.end(), from, end);
      from = end;
    }
    auto token = head_.score(states.data(), targets);
    auto next = token.begin();
    for (size_t i = 0; i < members_.size(); ++i) {
      const auto* continuation = continuation_of(i, choice);
      if (!continuation) continue;
      ContinuationScore& total = scores[members_[i]][choice];
      for (size_t k = 0; k < continuation->size(); ++k, ++next) {
        total.log_likelihood += next->log_probability;
        total.greedy = total.greedy && next->top;
      }
    }
  }

  const std::vector<int32_t>* continuation_of(size_t i, size_t choice) const {
    const Request& request = requests_[members_[i]];
    return choice < request.continuations.size() ? &request.continuations[choice] : nullptr;
  }

  model::Model& model_;
  Head& head_;
  std::vector<Request>& requests_;
  std::vector<size_t> members_;
  std::vector<model::KvCache> caches_;
  std::vector<float> after_context_;  // [members][hidden_size]
};

void cut_contexts(std::vector<Request>& requests, int64_t positions) {
  for (Request& request : requests) {
    AQ_CHECK(!request.context.empty() && !request.continuations.empty(), "empty request");
    const auto longest = static_cast<int64_t>(request.longest_continuation());
    // The last token of a continuation is only predicted, never run.
    const int64_t room = positions + 1 - longest;
    if (positions <= 0 || static_cast<int64_t>(request.context.size()) <= room) continue;
    if (room < 1)
      throw base::BadInput(fmt::format("a continuation of {} tokens does not fit the model's {} positions",
                                       longest, positions));
    request.context.erase(request.context.begin(), request.context.end() - room);
  }
}

}  // namespace

size_t Request::longest_continuation() const {
  size_t longest = 0;
  for (const auto& continuation : continuations) longest = std::max(longest, continuation.size());
  return longest;
}

std::vector<std::vector<ContinuationScore>> score(model::Model& model, std::vector<Request> requests,
                                                  int64_t batch_tokens) {
  cut_contexts(requests, model.config().max_positions);
  std::vector<std::vector<ContinuationScore>> scores(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) scores[i].resize(requests[i].continuations.size());
  std::vector<size_t> order(requests.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return requests[a].context.size() > requests[b].context.size();
  });

  Head head(model);
  for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    base::progress("tasks", static_cast<int64_t>(begin), static_cast<int64_t>(order.size()), "requests");
    uint64_t context_tokens = 0, cache_bytes = 0;
    while (end < order.size()) {
      const Request& request = requests[order[end]];
      context_tokens += request.context.size();
      const auto longest = static_cast<int64_t>(request.longest_continuation());
      cache_bytes += model::KvCache::bytes(model.config(), std::ssize(request.context) + longest,
                                           model.backend().kv_format(), longest);
      if (end > begin && (context_tokens > static_cast<uint64_t>(batch_tokens) || cache_bytes > kCacheBytes))
        break;
      ++end;
    }
    Batch(model, head, requests,
          {order.begin() + static_cast<int64_t>(begin), order.begin() + static_cast<int64_t>(end)})
        .run(scores);
  }
  base::progress("tasks", static_cast<int64_t>(order.size()), static_cast<int64_t>(order.size()), "requests");
  return scores;
}

}  // namespace aquatint::eval
