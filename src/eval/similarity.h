// How close generated texts are to those of the reference model on the same prompts. All measures but lengths
// are in [0, 1]; equal outputs give 1 (edit distance 0), empty ones too.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/alignment.h"

namespace aquatint::eval {

// F1 of ROUGE (Lin 2004): common single words, pairs of neighbours, and longest common subsequence over the
// whole text, cut to kLongestAligned words. Words are those of Google's rouge-score without stemming: runs of
// [a-z0-9] after lower-casing (here of ASCII alone).
struct Rouge {
  double rouge_1 = 0, rouge_2 = 0, rouge_l = 0;
};
std::vector<std::string> rouge_words(std::string_view text);
Rouge rouge(std::string_view text, std::string_view reference);

// Tokens before the first difference, and their share of the longer output.
struct CommonPrefix {
  int64_t tokens = 0;
  double share = 0;
};
template <class Token>
CommonPrefix common_prefix(const std::vector<Token>& a, const std::vector<Token>& b) {
  const auto end = std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first;
  const auto tokens = end - a.begin();
  const size_t longer = std::max(a.size(), b.size());
  return {tokens, longer == 0 ? 1 : static_cast<double>(tokens) / static_cast<double>(longer)};
}

// Levenshtein's distance over the length of the longer, both cut to kLongestAligned tokens.
template <class Token>
double normalized_edit_distance(const std::vector<Token>& a, const std::vector<Token>& b) {
  const NumberedPair pair = number_tokens(a, b);
  const size_t longer = std::max(pair.a.size(), pair.b.size());
  return longer == 0 ? 0 : static_cast<double>(edit_distance(pair)) / static_cast<double>(longer);
}

struct Generation {
  std::string text;
  std::vector<int32_t> tokens;
};

// NaN without pairs, standard errors NaN for a single one.
struct SimilaritySummary {
  struct Mean {
    double value = 0, standard_error = 0;
  };
  Mean rouge_1, rouge_2, rouge_l;
  Mean identical;  // share of pairs with equal tokens
  Mean prefix_tokens, prefix_share;
  Mean edit_distance;             // normalized
  Mean length, reference_length;  // tokens
  int64_t pairs = 0;
  std::string unit = "tokens";  // of prefixes, distances and lengths
};
SimilaritySummary summarize_similarity(std::span<const Generation> model,
                                       std::span<const Generation> reference);

// Puts numbers of words in the place of tokens, for texts whose tokens are not known.
void number_words(std::span<Generation> model, std::span<Generation> reference);

// MLPerf's rule for generated texts: throws GateMissed unless the mean length in tokens is at least `percent`
// % of the reference's. A model that stops early may score well on the little it says.
void check_length_gate(const SimilaritySummary& summary, double percent = 90);

}  // namespace aquatint::eval
