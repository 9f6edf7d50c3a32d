#include "eval/prefixes.h"

#include <algorithm>
#include <numeric>

namespace aquatint::eval {
namespace {

// Tokens that i shares with its neighbour i + 1, of both all but the last at most.
std::vector<int64_t> neighbours(std::span<const std::vector<int32_t>> sequences,
                                std::span<const size_t> order) {
  std::vector<int64_t> shared;
  for (size_t i = 0; i + 1 < order.size(); ++i) {
    const auto &a = sequences[order[i]], &b = sequences[order[i + 1]];
    const auto most = static_cast<ptrdiff_t>(std::min(a.size(), b.size())) - 1;
    shared.push_back(std::max<ptrdiff_t>(
        0, std::mismatch(a.begin(), a.begin() + std::max<ptrdiff_t>(most, 0), b.begin()).first - a.begin()));
  }
  return shared;
}

}  // namespace

std::vector<size_t> prefix_order(std::span<const std::vector<int32_t>> sequences) {
  std::vector<size_t> order(sequences.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return sequences[a] < sequences[b]; });
  return order;
}

std::vector<PrefixGroup> prefix_groups(std::span<const std::vector<int32_t>> sequences,
                                       std::span<const size_t> order, int64_t least) {
  const std::vector<int64_t> shared = neighbours(sequences, order);
  // The best cut of the first `end` sequences, and its last group.
  struct Cut {
    int64_t saved = 0;
    PrefixGroup last;
  };
  std::vector<Cut> best(order.size() + 1);
  for (size_t end = 1; end <= order.size(); ++end) {
    best[end] = {best[end - 1].saved, {end - 1, 1, 0}};
    int64_t length = INT64_MAX;
    for (size_t first = end - 1; first > 0; --first) {
      length = std::min(length, shared[first - 1]);
      if (length < least) break;
      const auto count = static_cast<int64_t>(end - first) + 1;
      const int64_t saved = best[first - 1].saved + length * (count - 1);
      if (saved > best[end].saved) best[end] = {saved, {first - 1, end - first + 1, length}};
    }
  }
  std::vector<PrefixGroup> groups;
  for (size_t end = order.size(); end > 0; end = groups.back().first) groups.push_back(best[end].last);
  std::reverse(groups.begin(), groups.end());
  return groups;
}

}  // namespace aquatint::eval
