#include "eval/recovery.h"

#include <algorithm>

#include "base/error.h"
#include "base/rng.h"

namespace aquatint::eval {
namespace {

// The scores of an item, or means of them.
struct Scores {
  double model = 0, reference = 0;
};

// The items of a task and behind them the two pairs that differ, each with `weight` times an item's chance.
class Stratum {
 public:
  Stratum(const TaskScores& task, double weight) : baseline_(task.baseline), weight_(weight) {
    for (size_t i = 0; i < task.model.size(); ++i) pairs_.push_back({task.model[i], task.reference[i]});
    items_ = static_cast<double>(pairs_.size());
    pairs_.push_back({1, 0});
    pairs_.push_back({0, 1});
  }

  Scores observed() const {
    Scores sum;
    for (size_t i = 0; i + 2 < pairs_.size(); ++i) add(sum, pairs_[i]);
    return chance_corrected(sum);
  }

  Scores resampled(base::Rng& rng) const {
    Scores sum;
    for (size_t i = 0; i + 2 < pairs_.size(); ++i) {
      const double place = rng.uniform() * (items_ + 2 * weight_);
      add(sum, place < items_             ? pairs_[static_cast<size_t>(place)]
               : place < items_ + weight_ ? pairs_[pairs_.size() - 2]
                                          : pairs_.back());
    }
    return chance_corrected(sum);
  }

 private:
  static void add(Scores& sum, const Scores& pair) {
    sum.model += pair.model;
    sum.reference += pair.reference;
  }
  Scores chance_corrected(const Scores& sum) const {
    return {(sum.model / items_ - baseline_) / (1 - baseline_),
            (sum.reference / items_ - baseline_) / (1 - baseline_)};
  }

  std::vector<Scores> pairs_;
  double items_ = 0, baseline_, weight_;
};

template <class ScoresOf>
std::optional<double> ratio(std::span<const Stratum> strata, ScoresOf scores_of) {
  Scores sum;
  for (const Stratum& stratum : strata) {
    const Scores scores = scores_of(stratum);
    sum.model += scores.model;
    sum.reference += scores.reference;
  }
  // Rounding may leave a trace of a reference that guesses.
  if (sum.reference <= 1e-12) return std::nullopt;
  return sum.model / sum.reference;
}

// Ratios of all resamples, ascending; none when one of them has no value.
std::vector<double> resampled_ratios(std::span<const Stratum> strata, int resamples, base::Rng& rng) {
  std::vector<double> ratios;
  for (int r = 0; r < resamples; ++r) {
    const auto found = ratio(strata, [&](const Stratum& stratum) { return stratum.resampled(rng); });
    if (!found) return {};
    ratios.push_back(*found);
  }
  std::sort(ratios.begin(), ratios.end());
  return ratios;
}

RecoveryEstimate estimate(std::span<const Stratum> strata, std::vector<double> ratios, double confidence) {
  RecoveryEstimate found;
  found.value = ratio(strata, [](const Stratum& stratum) { return stratum.observed(); });
  if (found.value && !ratios.empty())
    found.interval = {quantile(ratios, (1 - confidence) / 2), quantile(ratios, (1 + confidence) / 2)};
  return found;
}

void check(const TaskScores& task) {
  const auto is_score = [](double score) { return score >= 0 && score <= 1; };
  AQ_CHECK(task.model.size() == task.reference.size() && !task.model.empty(), "{} and {} items",
           task.model.size(), task.reference.size());
  AQ_CHECK(task.baseline < 1, "baseline {}", task.baseline);
  AQ_CHECK(std::all_of(task.model.begin(), task.model.end(), is_score));
  AQ_CHECK(std::all_of(task.reference.begin(), task.reference.end(), is_score));
}

std::optional<double> quantile_if_any(std::vector<double> values, double q) {
  if (values.empty()) return std::nullopt;
  return quantile(values, q);
}

}  // namespace

std::optional<double> Recovery::probability_below(double recovery) const {
  if (resamples.empty()) return std::nullopt;
  const auto below = std::lower_bound(resamples.begin(), resamples.end(), recovery) - resamples.begin();
  return static_cast<double>(below) / static_cast<double>(resamples.size());
}

std::optional<double> Recovery::lower_bound(double confidence) const {
  return quantile_if_any(resamples, 1 - confidence);
}

std::optional<double> Recovery::upper_bound(double confidence) const {
  return quantile_if_any(resamples, confidence);
}

Recovery recovery(std::span<const TaskScores> tasks, const BootstrapOptions& options) {
  AQ_CHECK(!tasks.empty() && options.resamples > 0, "{} tasks, {} resamples", tasks.size(),
           options.resamples);
  base::Rng rng(options.seed);
  Recovery found;
  std::vector<Stratum> strata;
  for (const TaskScores& task : tasks) {
    check(task);
    const Stratum alone(task, 1);
    found.tasks.push_back(
        estimate({&alone, 1}, resampled_ratios({&alone, 1}, options.resamples, rng), options.confidence));
    strata.emplace_back(task, 1 / static_cast<double>(tasks.size()));
  }
  found.resamples = resampled_ratios(strata, options.resamples, rng);
  found.overall = estimate(strata, found.resamples, options.confidence);
  if (!found.overall.interval) found.resamples.clear();
  return found;
}

}  // namespace aquatint::eval
