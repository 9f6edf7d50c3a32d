#include "api/self_calibration.h"

#include <gmock/gmock.h>

#include <set>

#include "../eval/letter_tokenizer.h"
#include "../eval/small_model.h"
#include "base/error.h"

namespace aquatint::api {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::SizeIs;

TEST(SelfCalibration, SequencesOfTheModelsOwnTokens) {
  eval::SmallModel small;
  const eval::LetterTokenizer tokenizer(int32_t{257});
  const quant::CalibrationSet set = sample_calibration(*small.model, tokenizer, {6, 24, 5});
  ASSERT_THAT(set.sequences, SizeIs(6));
  EXPECT_THAT(set.sequences, Each(SizeIs(24)));
  std::set<std::vector<int32_t>> different;
  for (const auto& sequence : set.sequences) {
    EXPECT_EQ(sequence[0], 257);
    different.insert(sequence);
    for (const int32_t id : sequence) EXPECT_TRUE(id >= 0 && id < 258);
  }
  EXPECT_THAT(different, SizeIs(6));
  EXPECT_EQ(set.fingerprint, quant::fingerprint_of(set.sequences));
  EXPECT_THAT(set.description, HasSubstr("6 sequences of 24 tokens sampled by the model itself"));
}

TEST(SelfCalibration, TheSeedDecidesAndNotTheThreads) {
  eval::SmallModel two(1), one(1, kernels::Precision::fp32, 1);
  const eval::LetterTokenizer tokenizer;
  const auto tokens = [&](eval::SmallModel& small, uint64_t seed) {
    return sample_calibration(*small.model, tokenizer, {20, 16, seed}).sequences;
  };
  EXPECT_EQ(tokens(two, 1), tokens(one, 1));
  EXPECT_NE(tokens(two, 1), tokens(two, 2));
}

// At temperature 1 a token comes as often as the model says.
TEST(SelfCalibration, FollowsTheModelsProbabilities) {
  eval::SmallModel small;
  const eval::LetterTokenizer tokenizer(int32_t{257});
  constexpr int kSamples = 4000;
  const quant::CalibrationSet set = sample_calibration(*small.model, tokenizer, {kSamples, 2, 9});
  const std::vector<double> expected = small.log_probabilities({257})[0];
  std::vector<int> count(258);
  for (const auto& sequence : set.sequences) ++count[static_cast<size_t>(sequence[1])];
  double chi_squared = 0;  // 257 degrees of freedom: mean 257, deviation 22.7
  for (size_t i = 0; i < count.size(); ++i) {
    const double mean = kSamples * std::exp(expected[i]);
    chi_squared += (count[i] - mean) * (count[i] - mean) / mean;
  }
  EXPECT_LT(chi_squared, 257 + 5 * 22.7);
}

TEST(SelfCalibration, TheLengthIsLoweredToTheContext) {
  eval::SmallModel small;
  const quant::CalibrationSet set = sample_calibration(*small.model, eval::LetterTokenizer(), {1, 512, 0});
  EXPECT_THAT(set.sequences, Each(SizeIs(64)));
  EXPECT_THAT(set.notes, SizeIs(1));
  EXPECT_THROW(sample_calibration(*small.model, eval::LetterTokenizer(), {0, 16, 0}), base::BadUsage);
}

}  // namespace
}  // namespace aquatint::api
