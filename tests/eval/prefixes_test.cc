#include "eval/prefixes.h"

#include <gmock/gmock.h>

#include "base/rng.h"

namespace aquatint::eval {
namespace {

using Sequences = std::vector<std::vector<int32_t>>;

int64_t shared_by(const Sequences& sequences, const std::vector<size_t>& order, size_t first, size_t end) {
  int64_t length = INT64_MAX;
  for (size_t i = first; i < end; ++i) {
    const auto &a = sequences[order[first]], &b = sequences[order[i]];
    const auto most = static_cast<ptrdiff_t>(std::min(a.size(), b.size()) - 1);
    length =
        std::min<int64_t>(length, std::mismatch(a.begin(), a.begin() + most, b.begin()).first - a.begin());
  }
  return length;
}

// The most tokens that any cut into groups saves, by trying all of them.
int64_t most_saved(const Sequences& sequences, const std::vector<size_t>& order, int64_t least) {
  std::vector<int64_t> best(order.size() + 1, 0);
  for (size_t end = 1; end <= order.size(); ++end)
    for (size_t first = 0; first < end; ++first) {
      const int64_t length = shared_by(sequences, order, first, end);
      const int64_t saved = length >= least ? length * static_cast<int64_t>(end - first - 1) : 0;
      best[end] = std::max(best[end], best[first] + saved);
    }
  return best.back();
}

TEST(Prefixes, GroupsSaveAsMuchAsAnyCut) {
  base::Rng rng(3);
  for (int round = 0; round < 300; ++round) {
    Sequences sequences(1 + rng.below(12));
    for (auto& sequence : sequences) {
      sequence.resize(1 + rng.below(12));
      for (int32_t& token : sequence) token = static_cast<int32_t>(rng.below(round % 2 ? 2 : 3)) / 2;
    }
    const int64_t least = 1 + static_cast<int64_t>(rng.below(4));
    const auto order = prefix_order(sequences);
    int64_t saved = 0;
    size_t next = 0;
    for (const PrefixGroup& group : prefix_groups(sequences, order, least)) {
      EXPECT_EQ(group.first, next);
      next += group.count;
      if (group.length == 0) continue;
      EXPECT_GE(group.length, least);
      EXPECT_LE(group.length, shared_by(sequences, order, group.first, next));
      saved += group.length * static_cast<int64_t>(group.count - 1);
    }
    EXPECT_EQ(next, sequences.size());
    EXPECT_EQ(saved, most_saved(sequences, order, least));
  }
}

}  // namespace
}  // namespace aquatint::eval
