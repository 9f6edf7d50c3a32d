#include "eval/similarity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"

namespace aquatint::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Tokens = std::vector<int32_t>;

Tokens random_tokens(base::Rng& rng, size_t n, uint64_t vocabulary) {
  Tokens tokens(n);
  for (int32_t& token : tokens) token = static_cast<int32_t>(rng.below(vocabulary)) - 3;
  return tokens;
}

// A few edits of `tokens`.
Tokens edited(Tokens tokens, base::Rng& rng, int edits) {
  for (int i = 0; i < edits; ++i) {
    const auto place = tokens.begin() + static_cast<int64_t>(rng.below(tokens.size()));
    if (i % 3 == 0) *place = 1000 + i;
    if (i % 3 == 1) tokens.erase(place);
    if (i % 3 == 2) tokens.insert(place, 7);
  }
  return tokens;
}

// The textbook tables of both, row by row.
struct Slow {
  int64_t common, distance;
};
Slow slow(const Tokens& a, const Tokens& b) {
  std::vector<std::vector<int64_t>> common(a.size() + 1, std::vector<int64_t>(b.size() + 1)),
      distance = common;
  for (size_t i = 0; i <= a.size(); ++i)
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        distance[i][j] = static_cast<int64_t>(i + j);
        continue;
      }
      const bool equal = a[i - 1] == b[j - 1];
      common[i][j] = equal ? common[i - 1][j - 1] + 1 : std::max(common[i - 1][j], common[i][j - 1]);
      distance[i][j] =
          std::min({distance[i - 1][j] + 1, distance[i][j - 1] + 1, distance[i - 1][j - 1] + !equal});
    }
  return {common.back().back(), distance.back().back()};
}

TEST(Alignment, AgreesWithTheTextbookTables) {
  base::Rng rng(31);
  for (const size_t n : {0, 1, 2, 63, 64, 65, 127, 128, 129, 200})
    for (const size_t m : {0, 1, 64, 130})
      for (const uint64_t vocabulary : {1, 2, 20}) {
        const Tokens a = random_tokens(rng, n, vocabulary), b = random_tokens(rng, m, vocabulary);
        const NumberedPair pair = number_tokens(a, b);
        const Slow expected = slow(a, b);
        EXPECT_EQ(longest_common_subsequence(pair), expected.common) << n << " " << m << " " << vocabulary;
        EXPECT_EQ(edit_distance(pair), expected.distance) << n << " " << m << " " << vocabulary;
      }
  const Tokens a = random_tokens(rng, 500, 50), b = edited(a, rng, 30);
  EXPECT_EQ(edit_distance(number_tokens(a, b)), slow(a, b).distance);
  EXPECT_EQ(longest_common_subsequence(number_tokens(a, b)), slow(a, b).common);
}

TEST(Alignment, OfLongSequencesIsCut) {
  base::Rng rng(37);
  const Tokens a = random_tokens(rng, kLongestAligned + 5000, 1000);
  EXPECT_EQ(longest_common_subsequence(number_tokens(a, a)), static_cast<int64_t>(kLongestAligned));
  EXPECT_EQ(edit_distance(number_tokens(a, a)), 0);
}

TEST(Rouge, WordsAreRunsOfLettersAndDigits) {
  EXPECT_THAT(rouge_words("The x86-64's caf\xc3\xa9,\n2nd!"),
              ElementsAre("the", "x86", "64", "s", "caf", "2nd"));
  EXPECT_THAT(rouge_words(" .\xe4\xbd\xa0 "), IsEmpty());
}

TEST(Rouge, CountsByHand) {
  // the cat on the mat (5 of 6 and 6 words); (on the), (the mat), (the cat) of 5 and 5 pairs.
  const Rouge found = rouge("The cat sat on the mat.", "the CAT was on the mat!");
  EXPECT_DOUBLE_EQ(found.rouge_1, 2 * 5.0 / 12);
  EXPECT_DOUBLE_EQ(found.rouge_2, 2 * 3.0 / 10);
  EXPECT_DOUBLE_EQ(found.rouge_l, 2 * 5.0 / 12);
  // Same words in another order: one of them, or "the gunman", stays in order.
  const Rouge turned = rouge("the gunman kill police", "police kill the gunman");
  EXPECT_DOUBLE_EQ(turned.rouge_1, 1);
  EXPECT_DOUBLE_EQ(turned.rouge_2, 2 * 1.0 / 6);
  EXPECT_DOUBLE_EQ(turned.rouge_l, 0.5);
  // Repeated words count as often as in both.
  EXPECT_DOUBLE_EQ(rouge("a a a a", "a a b").rouge_1, 2 * 2.0 / 7);
  EXPECT_DOUBLE_EQ(rouge("word", "WORD.").rouge_2, 1);
  EXPECT_DOUBLE_EQ(rouge("", "!").rouge_l, 1);
  EXPECT_DOUBLE_EQ(rouge("", "word").rouge_1, 0);
}

TEST(Rouge, AgreesWithGooglesPackage) {
  const std::string path = std::string(AQUATINT_GOLDEN) + "/eval/rouge.json";
  const base::Json cases = base::parse_json(base::read_text(path), path);
  ASSERT_GE(cases.size(), 20u);
  for (const base::Json& c : cases) {
    const Rouge found = rouge(c["text"].get<std::string>(), c["reference"].get<std::string>());
    EXPECT_NEAR(found.rouge_1, c["f1"][0].get<double>(), 1e-11) << c;
    EXPECT_NEAR(found.rouge_2, c["f1"][1].get<double>(), 1e-11) << c;
    EXPECT_NEAR(found.rouge_l, c["f1"][2].get<double>(), 1e-11) << c;
  }
}

TEST(Similarity, PrefixesAndDistances) {
  const std::vector<int64_t> a = {5, 6, 7, 8}, b = {5, 6, 9}, none;
  EXPECT_EQ(common_prefix(a, b).tokens, 2);
  EXPECT_DOUBLE_EQ(common_prefix(a, b).share, 0.5);
  EXPECT_DOUBLE_EQ(common_prefix(a, a).share, 1);
  EXPECT_DOUBLE_EQ(common_prefix(a, none).share, 0);
  EXPECT_DOUBLE_EQ(common_prefix(none, none).share, 1);
  EXPECT_DOUBLE_EQ(normalized_edit_distance(a, b), 2.0 / 4);
  EXPECT_DOUBLE_EQ(normalized_edit_distance(none, b), 1);
  EXPECT_DOUBLE_EQ(normalized_edit_distance(none, none), 0);
}

TEST(Similarity, OfTheSameOutputsIsOne) {
  const std::vector<Generation> outputs = {{"A b c", {1, 2, 3}}, {"", {}}, {"d", {4}}};
  const SimilaritySummary found = summarize_similarity(outputs, outputs);
  for (const auto& mean :
       {found.rouge_1, found.rouge_2, found.rouge_l, found.identical, found.prefix_share}) {
    EXPECT_EQ(mean.value, 1);
    EXPECT_EQ(mean.standard_error, 0);
  }
  EXPECT_EQ(found.edit_distance.value, 0);
  EXPECT_EQ(found.pairs, 3);
  EXPECT_NO_THROW(check_length_gate(found, 100));
}

TEST(Similarity, IsTheMeanOverPairs) {
  const std::vector<Generation> reference = {{"a b c d", {1, 2, 3, 4}}, {"e f", {5, 6}}};
  const std::vector<Generation> model = {{"a b x d", {1, 2, 9, 4}}, {"e f", {5, 6}}};
  const SimilaritySummary found = summarize_similarity(model, reference);
  EXPECT_DOUBLE_EQ(found.rouge_1.value, (0.75 + 1) / 2);
  EXPECT_DOUBLE_EQ(found.rouge_1.standard_error, 0.125);  // half the difference of two values
  EXPECT_DOUBLE_EQ(found.rouge_2.value, (1.0 / 3 + 1) / 2);
  EXPECT_DOUBLE_EQ(found.prefix_tokens.value, 2);
  EXPECT_DOUBLE_EQ(found.prefix_share.value, 0.75);
  EXPECT_DOUBLE_EQ(found.edit_distance.value, 0.125);
  EXPECT_DOUBLE_EQ(found.identical.value, 0.5);
}

TEST(Similarity, LengthGate) {
  const std::vector<Generation> reference = {{"", Tokens(100)}, {"", Tokens(100)}};
  const std::vector<Generation> nine_tenths = {{"", Tokens(100)}, {"", Tokens(80)}},
                                shorter = {{"", Tokens(100)}, {"", Tokens(79)}};
  EXPECT_NO_THROW(check_length_gate(summarize_similarity(nine_tenths, reference)));
  const SimilaritySummary found = summarize_similarity(shorter, reference);
  EXPECT_THROW(check_length_gate(found), base::GateMissed);
  EXPECT_NO_THROW(check_length_gate(found, 89));
  EXPECT_THROW(check_length_gate(summarize_similarity({}, {})), base::GateMissed);
}

}  // namespace
}  // namespace aquatint::eval
