#include "report/comparison.h"

#include <algorithm>
#include <cmath>

#include "base/statistics.h"
#include "report/verdict.h"

namespace aquatint::report {
namespace {

// Standard errors around two values that are only known to be that large: two cover about 95 %.
constexpr double kSigmas = 2;

double finite_or_zero(double value) { return std::isfinite(value) ? value : 0; }

Axis rate_axis(const std::vector<double>& samples) {
  return {base::summarize(samples).mean, finite_or_zero(base::standard_error(samples)), true, kSpeedFloor};
}

double relative_error(const Axis& axis) { return axis.value > 0 ? axis.error / axis.value : 0; }

const TaskResult* find_task(const StudyRow& row, const std::string& name) {
  const auto found =
      std::find_if(row.tasks.begin(), row.tasks.end(), [&](const auto& t) { return t.name == name; });
  return found == row.tasks.end() ? nullptr : &*found;
}

Measured task_change(const TaskResult& reference, const TaskResult& task) {
  const size_t n = task.correct.size();
  if (n < 2 || reference.correct.size() != n)
    return {task.accuracy.value - reference.accuracy.value,
            std::hypot(task.accuracy.error, reference.accuracy.error),
            std::min(task.accuracy.n, reference.accuracy.n)};
  std::vector<double> differences(n);
  for (size_t i = 0; i < n; ++i)
    differences[i] = (task.correct[i] ? 1.0 : 0.0) - (reference.correct[i] ? 1.0 : 0.0);
  return {base::summarize(differences).mean, base::standard_error(differences), static_cast<int64_t>(n)};
}

Measured perplexity_increase(const StudyRow& reference, const StudyRow& row, bool& paired) {
  const size_t n = row.window_nll.size();
  paired = n > 1 && reference.window_nll.size() == n;
  if (paired) {
    std::vector<double> differences(n);
    for (size_t i = 0; i < n; ++i) differences[i] = row.window_nll[i] - reference.window_nll[i];
    const double ratio = std::exp(base::summarize(differences).mean);
    return {ratio - 1, ratio * base::standard_error(differences), static_cast<int64_t>(n)};
  }
  const Measured &p = row.perplexity, &r = reference.perplexity;
  if (!p.known() || !r.known() || r.value <= 0) return {};
  const double ratio = p.value / r.value;
  return {ratio - 1, ratio * std::hypot(p.error / p.value, r.error / r.value), std::min(p.n, r.n)};
}

}  // namespace

Loss loss_from(const StudyRow& reference, const StudyRow& row) {
  Loss loss;
  loss.perplexity_increase = perplexity_increase(reference, row, loss.paired);
  double sum = 0, variance = 0;
  int64_t items = 0;
  int tasks = 0;
  for (const TaskResult& task : row.tasks) {
    const TaskResult* other = find_task(reference, task.name);
    if (!other || !task.accuracy.known() || !other->accuracy.known()) continue;
    const Measured change = task_change(*other, task);
    sum += change.value;
    variance += change.error * change.error;
    items += change.n;
    ++tasks;
  }
  if (tasks == 0) return loss;
  loss.accuracy_change = {sum / tasks, std::sqrt(variance) / tasks, items};
  loss.accuracy_significant = std::abs(loss.accuracy_change.value) > kSigmas * loss.accuracy_change.error;
  return loss;
}

int compare(const Axis& a, const Axis& b) {
  const double noise = std::max(kSigmas * std::hypot(a.error, b.error),
                                a.floor * std::min(std::abs(a.value), std::abs(b.value)));
  if (std::abs(a.value - b.value) <= noise) return 0;
  return (a.value > b.value) == a.more_is_better ? 1 : -1;
}

double size_bytes(const StudyRow& row) {
  return std::isfinite(row.file_bytes) ? row.file_bytes : row.weight_bytes;
}

Axis size_axis(const StudyRow& row) { return {size_bytes(row), 0, false, kSizeFloor}; }

Axis prefill_axis(const StudyRow& row) {
  const SpeedResult* speed = single_speed(row);
  return speed ? rate_axis(speed->prefill) : Axis{};
}

Axis decode_axis(const StudyRow& row, int batch) {
  if (batch == 0) {
    const SpeedResult* speed = single_speed(row);
    return speed ? rate_axis(speed->decode) : Axis{};
  }
  for (const SpeedResult& speed : row.speed)
    if (speed.batch == batch) return rate_axis(speed.decode);
  return {};
}

int largest_batch(const StudyRow& row) {
  int batch = 0;
  for (const SpeedResult& speed : row.speed) batch = std::max(batch, speed.batch);
  return batch;
}

Axis quality_axis(const StudyRow& row, const StudyRow& reference) {
  if (&row == &reference) return {0, 0, false, 0};
  if (row.mean_kld.known()) return {row.mean_kld.value, finite_or_zero(row.mean_kld.error), false, 0};
  const Measured increase = loss_from(reference, row).perplexity_increase;
  return {increase.value, finite_or_zero(increase.error), false, 0};
}

bool dominates(const StudyRow& a, const StudyRow& b, const StudyRow& reference) {
  const Axis quality_a = quality_axis(a, reference), quality_b = quality_axis(b, reference);
  if (!quality_a.known() || !quality_b.known()) return false;
  bool better = false, worse = false;
  const auto take = [&](const Axis& x, const Axis& y) {
    if (!x.known() || !y.known()) return;
    const int order = compare(x, y);
    better |= order > 0;
    worse |= order < 0;
  };
  take(quality_a, quality_b);
  take(size_axis(a), size_axis(b));
  take(prefill_axis(a), prefill_axis(b));
  for (const SpeedResult& speed : b.speed) take(decode_axis(a, speed.batch), decode_axis(b, speed.batch));
  return better && !worse;
}

Gains gains_over(const StudyRow& base, const StudyRow& row) {
  Gains gains;
  gains.size = size_bytes(base) / size_bytes(row);
  const Axis prefill = prefill_axis(row), base_prefill = prefill_axis(base);
  const Axis decode = decode_axis(row, 0), base_decode = decode_axis(base, 0);
  gains.prefill = prefill.value / base_prefill.value;
  gains.decode = decode.value / base_decode.value;
  double logs = 0;
  int known = 0;
  for (const double gain : {gains.size, gains.prefill, gains.decode})
    if (std::isfinite(gain) && gain > 0) {
      logs += std::log(gain);
      ++known;
    }
  if (known == 0) return gains;
  gains.combined = std::exp(logs / known);
  gains.error = std::hypot(relative_error(prefill), relative_error(decode)) / known;
  return gains;
}

}  // namespace aquatint::report
