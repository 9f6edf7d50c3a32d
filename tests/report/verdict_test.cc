#include "report/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "report/comparison.h"
#include "sample_study.h"

namespace aquatint::report {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

enum { kFp32, kBf16, kW8A16, kW4A16, kW8A8, kFp8, kNf4 };

StudyRow& row(Study& study, int index) { return study.rows[static_cast<size_t>(index)]; }

std::string said(const Study& study) {
  const Verdict verdict = decide(study);
  return verdict.headline + " " + verdict.paragraph();
}

TEST(Verdict, RecommendsTheBestThatKeepsTheQuality) {
  const Verdict verdict = decide(sample_study());
  EXPECT_EQ(verdict.chosen, kW8A8);
  EXPECT_EQ(verdict.headline, "Use W8A8.");
  EXPECT_THAT(verdict.why, AllOf(HasSubstr("163 MB"), HasSubstr("269 MB"), HasSubstr("tokens/s"),
                                 HasSubstr("perplexity")));
  EXPECT_THAT(verdict.sure,
              AllOf(HasSubstr("paired"), HasSubstr("inside the limit of 1 %"), HasSubstr("W8A16")));
  EXPECT_THAT(verdict.change, AllOf(HasSubstr("W4A16"), HasSubstr("stricter limit"),
                                    HasSubstr("16376 tokens of policy.txt")));
}

TEST(Verdict, ALooserLimitChangesTheAnswer) {
  Study study = sample_study();
  study.facts.max_perplexity_increase = 0.10;
  EXPECT_EQ(decide(study).chosen, kW4A16);
  study.facts.max_perplexity_increase = 0.002;
  EXPECT_EQ(decide(study).chosen, kW8A16);
}

TEST(Verdict, SaysWhenTheLimitIsNotClearlyKept) {
  Study study = sample_study();
  for (double& nll : row(study, kW8A8).window_nll)
    nll += 0.02 * ((&nll - row(study, kW8A8).window_nll.data()) % 2 ? 1 : -1);
  EXPECT_THAT(said(study), HasSubstr("score more text"));
}

TEST(Verdict, KeepsTheBaselineWhenEveryLossIsTooLarge) {
  Study study = sample_study();
  study.facts.max_perplexity_increase = 0.0001;
  const Verdict verdict = decide(study);
  EXPECT_EQ(verdict.chosen, -1);
  EXPECT_EQ(verdict.headline, "Keep BF16.");
  EXPECT_THAT(verdict.why, AllOf(HasSubstr("No scheme stays within"), HasSubstr("closest, W8A16")));
}

TEST(Verdict, KeepsTheBaselineWhenNothingGains) {
  Study study = sample_study();
  const StudyRow base = row(study, kBf16);
  for (int i = kW8A16; i <= kNf4; ++i) {
    row(study, i).speed = base.speed;
    row(study, i).file_bytes = base.file_bytes;
  }
  EXPECT_THAT(said(study), AllOf(HasSubstr("Keep BF16."), HasSubstr("none is smaller or faster")));
}

TEST(Verdict, OnlyBaselines) {
  Study study = sample_study();
  study.rows.resize(2);
  EXPECT_THAT(said(study),
              AllOf(HasSubstr("Nothing to choose"), HasSubstr("--schemes"), HasSubstr("BF16 costs")));
}

TEST(Verdict, EmptyOrWithoutReference) {
  EXPECT_THAT(said({}), HasSubstr("no finished row"));
  Study study = sample_study();
  study.rows.erase(study.rows.begin(), study.rows.begin() + 2);
  EXPECT_THAT(said(study), HasSubstr("no FP32 or BF16 row"));
  EXPECT_EQ(decide(study).chosen, -1);
}

TEST(Verdict, WithoutSpeedOnlySizeSpeaks) {
  Study study = sample_study();
  for (StudyRow& each : study.rows) each.speed.clear();
  const std::string text = said(study);
  EXPECT_THAT(text, HasSubstr("Speed was not measured"));
  EXPECT_THAT(text, AllOf(Not(HasSubstr("tokens/s")), Not(HasSubstr("nan"))));
}

TEST(Verdict, WithoutQualityNothingIsRecommended) {
  Study study = sample_study();
  for (StudyRow& each : study.rows) {
    each.perplexity = each.mean_kld = {};
    each.window_nll.clear();
  }
  const Verdict verdict = decide(study);
  EXPECT_EQ(verdict.chosen, -1);
  EXPECT_THAT(verdict.headline + verdict.why,
              AllOf(HasSubstr("quality was not measured"), HasSubstr("smallest is NF4")));
  for (const auto& better : verdict.dominated_by) EXPECT_THAT(better, IsEmpty());
}

TEST(Verdict, DivergenceStandsInForPerplexity) {
  Study study = sample_study();
  for (StudyRow& each : study.rows) {
    each.perplexity = {};
    each.window_nll.clear();
  }
  // ln(1.01) = 0.00995 nats: W8A8 with 0.0039 keeps it, W4A16 with 0.052 does not.
  EXPECT_EQ(decide(study).chosen, kW8A8);
  EXPECT_THAT(said(study), HasSubstr("rests on the divergence alone"));
}

TEST(Verdict, ASignificantDropOfAccuracyDisqualifies) {
  Study study = sample_study();
  for (TaskResult& task : row(study, kW8A8).tasks)
    for (size_t i = 0; i < task.correct.size(); i += 5) task.correct[i] = 0;
  const Verdict verdict = decide(study);
  EXPECT_TRUE(verdict.losses[kW8A8].accuracy_significant);
  EXPECT_NE(verdict.chosen, kW8A8);
}

TEST(Verdict, DominatedRowsAreNamed) {
  const Verdict verdict = decide(sample_study());
  EXPECT_THAT(verdict.dominated_by[kFp8], Contains(kW8A16));
  for (const int front : {kBf16, kW8A16, kW4A16, kW8A8})
    EXPECT_THAT(verdict.dominated_by[front], IsEmpty()) << front;
}

TEST(Verdict, DominanceIsNeverMutual) {
  base::Rng rng(5);
  for (int round = 0; round < 50; ++round) {
    Study study;
    for (int i = 0; i < 8; ++i)
      study.rows.push_back(
          sample_row({"X", "", 8, 100 + 10.0 * rng.below(4), 0.01 * rng.below(4), 0.01 * rng.below(4), 0.9,
                      1000 + 20.0 * rng.below(4), 100 + 2.0 * rng.below(4), 500, 0},
                     i == 0 ? RowKind::reference : RowKind::candidate, i, rng));
    const Verdict verdict = decide(study);
    for (int i = 0; i < 8; ++i)
      for (const int better : verdict.dominated_by[i])
        EXPECT_THAT(verdict.dominated_by[better], Not(Contains(i)));
  }
}

TEST(Loss, PairsWindowsAndItems) {
  StudyRow reference, other;
  reference.window_nll = {2.0, 3.0, 4.0};
  other.window_nll = {2.1, 3.1, 4.1};
  const Loss same_step = loss_from(reference, other);
  EXPECT_TRUE(same_step.paired);
  EXPECT_NEAR(same_step.perplexity_increase.value, std::expm1(0.1), 1e-12);
  EXPECT_NEAR(same_step.perplexity_increase.error, 0, 1e-12);  // the text's spread cancels
  TaskResult task{.name = "t", .accuracy = {0.5, 0.25, 4}, .correct = {1, 1, 0, 0}};
  reference.tasks = {task};
  task.correct = {1, 0, 0, 0};
  task.accuracy = {0.25, 0.25, 4};
  other.tasks = {task};
  const Loss loss = loss_from(reference, other);
  EXPECT_NEAR(loss.accuracy_change.value, -0.25, 1e-12);
  EXPECT_NEAR(loss.accuracy_change.error, 0.25, 1e-12);  // differences 0, −1, 0, 0: std 0.5, over √4
  EXPECT_FALSE(loss.accuracy_significant);
}

TEST(Loss, UnpairedErrorsAddUp) {
  StudyRow reference, other;
  reference.perplexity = {10, 0.3, 9};
  other.perplexity = {11, 0.4, 9};
  const Loss loss = loss_from(reference, other);
  EXPECT_FALSE(loss.paired);
  EXPECT_NEAR(loss.perplexity_increase.value, 0.1, 1e-12);
  EXPECT_NEAR(loss.perplexity_increase.error, 1.1 * std::hypot(0.4 / 11, 0.03), 1e-12);
}

TEST(Comparison, NoiseIsNoDifference) {
  const Axis slow = {100, 1, true, 0.03};
  EXPECT_EQ(compare({102.5, 1, true, 0.03}, slow), 0);  // under the floor of 3 %
  EXPECT_EQ(compare({104, 1, true, 0.03}, slow), 1);
  EXPECT_EQ(compare({104, 3, true, 0.03}, slow), 0);  // under two standard errors
  EXPECT_EQ(compare({90, 1, true, 0.03}, slow), -1);
  EXPECT_EQ(compare({90, 0, false, 0}, {100, 0, false, 0}), 1);
}

}  // namespace
}  // namespace aquatint::report
