#include "eval/scoring.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/log.h"
#include "eval/head.h"
#include "eval/prefixes.h"

namespace aquatint::eval {
namespace {

constexpr uint64_t kCacheBytes = uint64_t{256} << 20;  // of one batch; a single long request may take more
constexpr int64_t kLeastPrefix = 24;                   // tokens; shorter ones cost more than they save

// Caches of the prefixes that groups of requests share, from a group's first request to its last one.
class Prefixes {
 public:
  Prefixes(model::Model& model, const std::vector<Request>& requests, std::span<const size_t> order,
           std::vector<PrefixGroup> groups)
      : model_(model), requests_(requests), order_(order), groups_(std::move(groups)) {}

  const PrefixGroup& group_of(size_t place) const {
    return *std::prev(
        std::upper_bound(groups_.begin(), groups_.end(), place,
                         [](size_t wanted, const PrefixGroup& group) { return wanted < group.first; }));
  }

  // Runs the prefixes that places begin … end − 1 need and that are not there yet, all together.
  void run(size_t begin, size_t end) {
    std::erase_if(caches_, [&](const auto& entry) { return entry.first + entry.second.count <= begin; });
    std::vector<int32_t> tokens;
    std::vector<model::Segment> segments;
    for (size_t place = begin; place < end; ++place) {
      const PrefixGroup& group = group_of(place);
      if (group.length == 0 || caches_.contains(group.first)) continue;
      const auto& context = requests_[order_[place]].context;
      Shared& shared =
          caches_.try_emplace(group.first, Shared{group.count, model_.cache(group.length)}).first->second;
      tokens.insert(tokens.end(), context.begin(), context.begin() + group.length);
      segments.push_back({&shared.cache, group.length});
    }
    if (tokens.empty()) return;
    std::vector<float> hidden(tokens.size() * static_cast<size_t>(model_.config().hidden_size));
    model_.forward(tokens, segments, kernels::Phase::prefill, hidden.data());
  }

  // A cache for the request at `place` that holds its prefix.
  model::KvCache start(size_t place, int64_t capacity, int64_t rewind) {
    const PrefixGroup& group = group_of(place);
    if (group.length == 0) return model_.cache(capacity, rewind);
    return caches_.at(group.first).cache.fork(model_.config(), capacity);
  }

 private:
  struct Shared {
    size_t count;
    model::KvCache cache;
  };
  model::Model& model_;
  const std::vector<Request>& requests_;
  std::span<const size_t> order_;
  std::vector<PrefixGroup> groups_;
  std::map<size_t, Shared> caches_;  // by the group's first place
};

// Requests that run together.
class Batch {
 public:
  // Places begin … end − 1 of `order`.
  Batch(model::Model& model, Head& head, Prefixes& prefixes, std::vector<Request>& requests,
        std::span<const size_t> order, size_t begin, size_t end)
      : model_(model),
        head_(head),
        prefixes_(prefixes),
        requests_(requests),
        members_(order.begin() + static_cast<ptrdiff_t>(begin), order.begin() + static_cast<ptrdiff_t>(end)),
        begin_(begin) {}

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
    prefixes_.run(begin_, begin_ + members_.size());
    std::vector<int32_t> tokens;
    for (size_t i = 0; i < members_.size(); ++i) {
      const Request& request = requests_[members_[i]];
      const auto more = static_cast<int64_t>(request.longest_continuation()) - 1;
      caches_.push_back(prefixes_.start(begin_ + i, std::ssize(request.context) + more, more));
      tokens.insert(tokens.end(), request.context.begin() + caches_.back().length(), request.context.end());
    }
    std::vector<model::Segment> segments;
    for (size_t i = 0; i < members_.size(); ++i)
      segments.push_back({&caches_[i], std::ssize(requests_[members_[i]].context) - caches_[i].length()});
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
  Prefixes& prefixes_;
  std::vector<Request>& requests_;
  std::vector<size_t> members_;
  size_t begin_;
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
  std::vector<std::vector<int32_t>> contexts;
  for (size_t i = 0; i < requests.size(); ++i) {
    scores[i].resize(requests[i].continuations.size());
    contexts.push_back(requests[i].context);
  }
  const std::vector<size_t> order = prefix_order(contexts);
  const bool can_share = model::KvCache::can_fork(model.backend().kv_format());
  Prefixes prefixes(model, requests, order,
                    prefix_groups(contexts, order, can_share ? kLeastPrefix : INT64_MAX));

  Head head(model);
  for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    base::progress("tasks", static_cast<int64_t>(begin), static_cast<int64_t>(order.size()), "requests");
    int64_t tokens = 0;
    uint64_t cache_bytes = 0;
    for (; end < order.size(); ++end) {
      const Request& request = requests[order[end]];
      const PrefixGroup& group = prefixes.group_of(end);
      const auto longest = static_cast<int64_t>(request.longest_continuation());
      tokens += std::ssize(request.context) - (end == group.first ? 0 : group.length);
      cache_bytes += model::KvCache::bytes(model.config(), std::ssize(request.context) + longest,
                                           model.backend().kv_format(), longest);
      if (end > begin && (tokens > batch_tokens || cache_bytes > kCacheBytes)) break;
    }
    Batch(model, head, prefixes, requests, order, begin, end).run(scores);
  }
  base::progress("tasks", static_cast<int64_t>(order.size()), static_cast<int64_t>(order.size()), "requests");
  return scores;
}

}  // namespace aquatint::eval
