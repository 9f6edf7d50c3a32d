#include "quant/duration.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "base/machine.h"
#include "base/rng.h"
#include "kernels/peaks.h"
#include "quant/input_statistics.h"
#include "quant/plain_tensors.h"

namespace aquatint::quant {
namespace {

using model::Stage;

constexpr int64_t kProbeRows = 64;
// Shares of the peaks of FP32 (FP64: half of it) and BF16 that the dense products, the factorization and the
// forward pass reach with what stands around them: estimates, which benchmarks/streaming/predictions.py holds
// against what quantizing takes.
constexpr double kProductShare = 0.45, kFactorShare = 0.5, kForwardShare = 0.3;
constexpr double kStateBytesPerSecond = 5e8;  // written and synced

// Seconds that finding codes of one weight takes, its error measured.
class CodingProbe {
 public:
  explicit CodingProbe(base::ThreadPool& pool) : pool_(pool) {}

  double seconds_per_weight(int64_t cols, const numeric::WeightScheme& scheme, Clip clip) {
    double& known = known_[{cols, scheme.format, scheme.group, clip}];
    if (known == 0) known = measure(cols, scheme, clip);
    return known;
  }

 private:
  double measure(int64_t cols, const numeric::WeightScheme& scheme, Clip clip) const {
    std::vector<float> values(static_cast<size_t>(kProbeRows * cols));
    base::Rng rng(1);
    for (float& value : values) value = static_cast<float>(rng.normal());
    double best = 1e9;
    for (int repeat = 0; repeat < 2; ++repeat) {
      const auto start = base::Clock::now();
      const tensor::QuantizedMatrix found =
          rtn.quantize(values, kProbeRows, cols, scheme, {.clip = clip}, pool_);
      const std::vector<float> back = values_of(found, pool_);
      static_cast<void>(relative_error(values, back));
      best = std::min(best, base::seconds_since(start));
    }
    return best / static_cast<double>(values.size());
  }

  base::ThreadPool& pool_;
  std::map<std::tuple<int64_t, const numeric::Format*, int, Clip>, double> known_;
};

// Operations of a whole run.
struct Operations {
  double forward = 0, products = 0, factors = 0;
};

// Of a whole matrix, in a method that searches a grid: it looks at half of the steps and a fifth of the rows.
double trials_of(const MethodStep& step) {
  return step.settings.contains("grid") ? step.settings["grid"].get<double>() / 10 : 0;
}

// Tokens that go forward, and as two more products backward, while a block is learned, and those of its looks
// at all sequences (methods/block_learner.h).
double learned_tokens(const MethodStep& step, double tokens) {
  if (!step.method->learn) return 0;
  const auto setting = [&](const char* name) { return step.settings.at(name).get<double>(); };
  return 3 * setting("steps") * setting("batch") * setting("tokens") + 5 * tokens;
}

Operations count(const Plan& plan, int64_t token_count) {
  Operations ops;
  const auto tokens = static_cast<double>(token_count);
  const bool again = plan.codes.method->needs_calibration;
  const bool corrects = !plan.corrections.empty();
  const double passes = (plan.transforms.empty() || !again ? 1 : 2) + (corrects ? 1 : 0);
  double trials = 0;
  for (const MethodStep& step : plan.transforms) trials += trials_of(step);
  for (int64_t layer = 0; layer < plan.tensors.config.layers; ++layer)
    for (const Stage stage : model::kStages) {
      const auto n = static_cast<double>(model::input_width(stage, plan.tensors.config));
      double rows = 0;
      for (const ModelMatrix& matrix : plan.tensors.linears(layer, stage))
        rows += static_cast<double>(matrix.rows);
      ops.forward += passes * 2 * tokens * rows * n;
      if (plan.needs_gram()) ops.products += passes * tokens * n * n;  // a triangle of H, half of the drift
      ops.products += 2 * rows * n * learned_tokens(plan.codes, tokens);
      // Errors weighed by one triangle of H, or seen by the sample.
      const double weighed = plan.needs_gram() ? n : 2 * InputStatistics::kSample;
      ops.products += rows * n * weighed * (2 + trials);
      if (again) ops.products += rows * n * n;  // errors fed to later columns
      if (again) ops.factors += 4 * n * n * n / 3;
    }
  return ops;
}

}  // namespace

double predict_seconds(const Plan& plan, const QuantizeJob& job, const model::Backend& backend) {
  CodingProbe probe(*backend.pool);
  double trials = 1;
  for (const MethodStep& step : plan.transforms) trials += trials_of(step);
  double seconds = 0;
  for (const ModelMatrix& matrix : plan.tensors.matrices) {
    const auto weights = static_cast<double>(matrix.rows * matrix.cols);
    if (!matrix.linear || !plan.scheme_of(matrix)) {
      seconds += weights * 2e-9;  // rounded and written by one thread
      continue;
    }
    const Assignment& assignment = plan.of(matrix);
    seconds += weights * probe.seconds_per_weight(matrix.cols, assignment.scheme->weights, assignment.clip);
    if (trials > 1)
      seconds += weights * (trials - 1) *
                 probe.seconds_per_weight(matrix.cols, assignment.scheme->weights, Clip::none);
  }
  if (!job.calibration) return seconds;
  const kernels::ComputePeaks peaks = kernels::measure_compute_peaks(*backend.pool);
  const int64_t tokens = job.calibration->tokens();
  const Operations ops = count(plan, tokens);
  seconds += ops.forward / (kForwardShare * std::max(peaks.bf16.flop_s, peaks.fp32.flop_s)) +
             ops.products / (kProductShare * peaks.fp32.flop_s) +
             ops.factors / (kFactorShare * peaks.fp32.flop_s / 2);
  const double states = static_cast<double>(tokens * plan.tensors.config.hidden_size) * sizeof(float);
  return seconds * (1 + std::min(job.journal_share, states * static_cast<double>(plan.tensors.config.layers) /
                                                        kStateBytesPerSecond / std::max(seconds, 1e-3)));
}

}  // namespace aquatint::quant
