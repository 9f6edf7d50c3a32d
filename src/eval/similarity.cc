#include "eval/similarity.h"

#include <iterator>
#include <sstream>
#include <unordered_map>

#include "base/error.h"
#include "base/statistics.h"

namespace aquatint::eval {
namespace {

double f1(int64_t common, size_t a, size_t b) {
  return a + b == 0 ? 0 : 2 * static_cast<double>(common) / static_cast<double>(a + b);
}

// Runs of `n` words, in order; n is 1 or 2.
std::vector<uint64_t> sorted_runs(const std::vector<uint32_t>& words, size_t n) {
  std::vector<uint64_t> runs;
  for (size_t i = 0; i + n <= words.size(); ++i) runs.push_back(uint64_t{words[i]} << 32 | words[i + n - 1]);
  std::sort(runs.begin(), runs.end());
  return runs;
}

double rouge_n(const NumberedPair& words, size_t n) {
  const std::vector<uint64_t> a = sorted_runs(words.a, n), b = sorted_runs(words.b, n);
  std::vector<uint64_t> common;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(common));
  return f1(static_cast<int64_t>(common.size()), a.size(), b.size());
}

SimilaritySummary::Mean mean_of(const std::vector<double>& values) {
  return {base::summarize(values).mean, base::standard_error(values)};
}

}  // namespace

std::vector<std::string> rouge_words(std::string_view text) {
  std::vector<std::string> words;
  bool inside = false;
  for (char c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    const bool belongs = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (belongs && !inside) words.emplace_back();
    if (belongs) words.back() += c;
    inside = belongs;
  }
  return words;
}

Rouge rouge(std::string_view text, std::string_view reference) {
  const std::vector<std::string> a = rouge_words(text), b = rouge_words(reference);
  if (a == b) return {1, 1, 1};  // also where they are too short for pairs
  const NumberedPair words = number_tokens(a, b);
  return {rouge_n(words, 1), rouge_n(words, 2),
          f1(longest_common_subsequence(words), words.a.size(), words.b.size())};
}

SimilaritySummary summarize_similarity(std::span<const Generation> model,
                                       std::span<const Generation> reference) {
  AQ_CHECK(model.size() == reference.size(), "{} and {} outputs", model.size(), reference.size());
  std::vector<double> rouge_1, rouge_2, rouge_l, identical, tokens, share, distance, length, expected;
  for (size_t i = 0; i < model.size(); ++i) {
    const Generation &a = model[i], &b = reference[i];
    const Rouge words = rouge(a.text, b.text);
    const CommonPrefix prefix = common_prefix(a.tokens, b.tokens);
    rouge_1.push_back(words.rouge_1);
    rouge_2.push_back(words.rouge_2);
    rouge_l.push_back(words.rouge_l);
    identical.push_back(a.tokens == b.tokens);
    tokens.push_back(static_cast<double>(prefix.tokens));
    share.push_back(prefix.share);
    distance.push_back(normalized_edit_distance(a.tokens, b.tokens));
    length.push_back(static_cast<double>(a.tokens.size()));
    expected.push_back(static_cast<double>(b.tokens.size()));
  }
  SimilaritySummary summary;
  summary.rouge_1 = mean_of(rouge_1);
  summary.rouge_2 = mean_of(rouge_2);
  summary.rouge_l = mean_of(rouge_l);
  summary.identical = mean_of(identical);
  summary.prefix_tokens = mean_of(tokens);
  summary.prefix_share = mean_of(share);
  summary.edit_distance = mean_of(distance);
  summary.length = mean_of(length);
  summary.reference_length = mean_of(expected);
  summary.pairs = static_cast<int64_t>(model.size());
  return summary;
}

void number_words(std::span<Generation> model, std::span<Generation> reference) {
  std::unordered_map<std::string, int32_t> numbers;
  for (const std::span<Generation> side : {model, reference})
    for (Generation& each : side) {
      each.tokens.clear();
      std::istringstream words(each.text);
      for (std::string word; words >> word;)
        each.tokens.push_back(numbers.try_emplace(word, static_cast<int32_t>(numbers.size())).first->second);
    }
}

void check_length_gate(const SimilaritySummary& summary, double percent) {
  const double found = summary.length.value, wanted = summary.reference_length.value * percent / 100;
  if (!(found >= wanted))
    throw base::GateMissed(fmt::format(
        "gate missed: mean output length {:.1f} {}, expected at least {:.1f} ({:g} % of the reference's "
        "{:.1f})",
        found, summary.unit, wanted, percent, summary.reference_length.value));
}

}  // namespace aquatint::eval
