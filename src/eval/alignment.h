// Longest common subsequence and edit distance of token sequences, bit-parallel: 64 rows of the dynamic
// programme are one word, so a · b / 64 steps and a + b memory.
#pragma once
#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace aquatint::eval {

// Sequences are cut to this many tokens, which bounds one comparison to some 20 ms.
inline constexpr size_t kLongestAligned = 16384;

// Two sequences whose tokens are numbered 0, 1, … as they appear.
struct NumberedPair {
  std::vector<uint32_t> a, b;
  size_t distinct = 0;
};

template <class Token>
NumberedPair number_tokens(const std::vector<Token>& a, const std::vector<Token>& b) {
  std::unordered_map<Token, uint32_t> numbers;
  const auto numbered = [&](const std::vector<Token>& tokens) {
    std::vector<uint32_t> found(std::min(tokens.size(), kLongestAligned));
    for (size_t i = 0; i < found.size(); ++i)
      found[i] = numbers.try_emplace(tokens[i], static_cast<uint32_t>(numbers.size())).first->second;
    return found;
  };
  NumberedPair pair = {numbered(a), numbered(b)};
  pair.distinct = numbers.size();
  return pair;
}

int64_t longest_common_subsequence(const NumberedPair& pair);

// Levenshtein's: insertions, deletions and substitutions count one each.
int64_t edit_distance(const NumberedPair& pair);

}  // namespace aquatint::eval
