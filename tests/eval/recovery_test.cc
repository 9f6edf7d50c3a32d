#include "eval/recovery.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "base/rng.h"

namespace aquatint::eval {
namespace {

// Right and wrong answers: the first of each pair for the model.
TaskScores task(int both, int only_model, int only_reference, int neither, double baseline) {
  TaskScores scores;
  scores.baseline = baseline;
  const auto add = [&](int count, double model, double reference) {
    scores.model.insert(scores.model.end(), static_cast<size_t>(count), model);
    scores.reference.insert(scores.reference.end(), static_cast<size_t>(count), reference);
  };
  add(both, 1, 1);
  add(only_model, 1, 0);
  add(only_reference, 0, 1);
  add(neither, 0, 0);
  return scores;
}

TEST(Recovery, IsTheRatioOfChanceCorrectedScores) {
  // 0.70 / 0.75 above 0.25, and 0.60 / 0.50 above nothing.
  const std::vector<TaskScores> tasks = {task(60, 10, 15, 15, 0.25), task(50, 10, 0, 40, 0)};
  const Recovery found = recovery(tasks, {.resamples = 2000});
  ASSERT_TRUE(found.tasks[0].interval && found.tasks[1].interval && found.overall.interval);
  EXPECT_NEAR(*found.tasks[0].value, 0.45 / 0.5, 1e-12);
  EXPECT_NEAR(*found.tasks[1].value, 1.2, 1e-12);
  EXPECT_NEAR(*found.overall.value, (0.45 / 0.75 + 0.6) / (0.5 / 0.75 + 0.5), 1e-12);
  EXPECT_LT(found.overall.interval->low, *found.overall.value);
  EXPECT_GT(found.overall.interval->high, *found.overall.value);
}

TEST(Recovery, OfTheSameAnswersIsAll) {
  const std::vector<TaskScores> tasks = {task(70, 0, 0, 30, 0.25), task(500, 0, 0, 300, 0.5)};
  const Recovery found = recovery(tasks, {.resamples = 2000});
  EXPECT_DOUBLE_EQ(*found.overall.value, 1);
  for (const RecoveryEstimate& estimate : {found.tasks[0], found.tasks[1], found.overall}) {
    EXPECT_LT(estimate.interval->low, 1);  // 100 items that agree do not prove that all do
    EXPECT_GT(estimate.interval->low, 0.9);
    EXPECT_GT(estimate.interval->high, 1);
  }
}

TEST(Recovery, OfAReferenceThatGuessesIsUnset) {
  const Recovery alone = recovery(std::vector<TaskScores>{task(20, 5, 5, 70, 0.25)}, {.resamples = 500});
  EXPECT_FALSE(alone.tasks[0].value || alone.tasks[0].interval || alone.overall.value);
  EXPECT_FALSE(alone.probability_below(1) || alone.lower_bound() || alone.upper_bound());
  EXPECT_TRUE(alone.resamples.empty());
  // Barely above chance there is a value without bounds.
  const Recovery barely = recovery(std::vector<TaskScores>{task(22, 5, 5, 68, 0.25)}, {.resamples = 500});
  EXPECT_NEAR(*barely.tasks[0].value, 1, 1e-12);
  EXPECT_FALSE(barely.tasks[0].interval);
  // The guessed task still counts towards both means of the others.
  const std::vector<TaskScores> both = {task(20, 5, 5, 70, 0.25), task(80, 0, 10, 10, 0)};
  EXPECT_NEAR(*recovery(both, {.resamples = 500}).overall.value, 0.8 / 0.9, 1e-12);
}

TEST(Recovery, AnswersGates) {
  const std::vector<TaskScores> tasks = {task(600, 40, 80, 280, 0.25), task(300, 20, 40, 140, 0.5)};
  const Recovery found = recovery(tasks, {.resamples = 3000});
  const double low = *found.lower_bound(0.95), high = *found.upper_bound(0.95);
  EXPECT_NEAR(*found.probability_below(low), 0.05, 0.001);
  EXPECT_NEAR(*found.probability_below(high), 0.95, 0.001);
  EXPECT_EQ(*found.probability_below(0), 0);
  EXPECT_EQ(*found.probability_below(2), 1);
  // Two-sided bounds lie outside the one-sided ones of the same confidence.
  EXPECT_LT(found.overall.interval->low, low);
  EXPECT_GT(found.overall.interval->high, high);
}

TEST(Recovery, IsDeterministicForASeed) {
  const std::vector<TaskScores> tasks = {task(60, 10, 15, 15, 0.25)};
  const Recovery first = recovery(tasks, {.resamples = 500});
  EXPECT_EQ(first.resamples, recovery(tasks, {.resamples = 500}).resamples);
  EXPECT_NE(first.resamples, recovery(tasks, {.resamples = 500, .seed = 5}).resamples);
}

// A task whose items are drawn: the reference is right with `right`, `flipped` of the answers change and
// `lost` of these from right to wrong.
struct Source {
  int items;
  double baseline, right, flipped, lost;

  TaskScores draw(base::Rng& rng) const {
    TaskScores scores;
    scores.baseline = baseline;
    for (int i = 0; i < items; ++i) {
      const double place = rng.uniform();
      const bool loses = place < flipped * lost, gains = !loses && place < flipped;
      const bool is_right = loses || (!gains && place < right + flipped * (1 - lost));
      scores.reference.push_back(is_right);
      scores.model.push_back(gains || (is_right && !loses));
    }
    return scores;
  }
  double reference_skill() const { return (right - baseline) / (1 - baseline); }
  double model_skill() const { return (right + flipped * (1 - 2 * lost) - baseline) / (1 - baseline); }
};

struct Coverage {
  double task = 0, overall = 0,
         overall_bound = 0;  // of the first task's interval, the overall, its lower bound
};
Coverage coverage(const std::vector<Source>& sources, int samples) {
  double model = 0, reference = 0;
  for (const Source& source : sources) {
    model += source.model_skill();
    reference += source.reference_skill();
  }
  const double truth = model / reference, first = sources[0].model_skill() / sources[0].reference_skill();
  base::Rng rng(23);
  Coverage found;
  for (int s = 0; s < samples; ++s) {
    std::vector<TaskScores> tasks;
    for (const Source& source : sources) tasks.push_back(source.draw(rng));
    const Recovery r = recovery(tasks, {.resamples = 300, .seed = rng.next()});
    const Interval task = r.tasks[0].interval.value(), overall = r.overall.interval.value();
    found.task += (task.low <= first && first <= task.high) / static_cast<double>(samples);
    found.overall += (overall.low <= truth && truth <= overall.high) / static_cast<double>(samples);
    found.overall_bound += (r.lower_bound().value() <= truth) / static_cast<double>(samples);
  }
  return found;
}

TEST(Recovery, IntervalsCoverAtTheirLevel) {
  for (const auto& [flipped, lost] : {std::pair(0.02, 0.75), std::pair(0.1, 0.5), std::pair(0.3, 0.75)}) {
    SCOPED_TRACE(testing::Message() << "flipped " << flipped << ", of these lost " << lost);
    const std::vector<Source> sources = {
        {50, 0.25, 0.8, flipped, lost}, {150, 0.5, 0.75, flipped, lost}, {60, 0, 0.6, flipped, lost}};
    const Coverage found = coverage(sources, 800);
    EXPECT_GE(found.task, 0.93);
    EXPECT_GE(found.overall, 0.93);
    EXPECT_LE(found.overall, flipped < 0.05 ? 0.99 : 0.97);
    EXPECT_GE(found.overall_bound, 0.93);
  }
}

}  // namespace
}  // namespace aquatint::eval
