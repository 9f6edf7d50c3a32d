#include "quant/methods/column_scales.h"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "kernels/input_rounding.h"

namespace aquatint::quant {
namespace {

// body(first value) for each of `rows` rows of `cols`.
template <class Body>
void each_row(int64_t rows, int64_t cols, base::ThreadPool& pool, Body body) {
  pool.parallel_for(rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) body(static_cast<size_t>(row * cols));
  });
}

// Rows of a linear that tell how scales do, spread over it: all where rows share scales.
class WeightProbe {
 public:
  WeightProbe(const BlockWeights::Linear& linear, const InputStatistics& inputs)
      : scheme_(linear.scheme->weights), cols_(linear.matrix->cols), inputs_(inputs) {
    const int64_t step = scheme_.rows_stand_alone() ? std::max<int64_t>(1, linear.matrix->rows / kRows) : 1;
    for (int64_t row = 0; row < linear.matrix->rows; row += step)
      values_.insert(values_.end(), linear.values.begin() + row * cols_,
                     linear.values.begin() + (row + 1) * cols_);
  }

  // Squared, of the outputs of these rows over all calibration tokens.
  double error(const std::vector<float>& scales, base::ThreadPool& pool) const {
    const int64_t rows = static_cast<int64_t>(values_.size()) / cols_;
    std::vector<float> scaled(values_.size());
    each_row(rows, cols_, pool, [&](size_t at) {
      for (size_t c = 0; c < scales.size(); ++c) scaled[at + c] = values_[at + c] * scales[c];
    });
    std::vector<float> difference =
        values_of(rtn.quantize(scaled, rows, cols_, scheme_, {.clip = Clip::none}, pool), pool);
    each_row(rows, cols_, pool, [&](size_t at) {
      for (size_t c = 0; c < scales.size(); ++c)
        difference[at + c] = difference[at + c] / scales[c] - values_[at + c];
    });
    return inputs_.output_error(difference);
  }

  // Adds Σ w_j² of these rows to each column's.
  void add_energies(std::vector<double>& energies) const {
    for (size_t i = 0; i < values_.size(); ++i)
      energies[i % energies.size()] += double{values_[i]} * double{values_[i]};
  }

 private:
  static constexpr int64_t kRows = 256;

  const numeric::WeightScheme& scheme_;
  int64_t cols_;
  const InputStatistics& inputs_;
  std::vector<float> values_;  // [rows][cols_]
};

// The stage's input, rounded in one way before it meets some of the linears.
class InputProbe {
 public:
  InputProbe(const numeric::ActivationScheme& scheme, const InputStatistics& inputs)
      : scheme_(scheme), inputs_(inputs), energies_(static_cast<size_t>(inputs.cols())) {}

  const numeric::ActivationScheme& scheme() const { return scheme_; }
  void add(const WeightProbe& weights) { weights.add_energies(energies_); }

  // As WeightProbe::error().
  double error(const std::vector<float>& scales, base::ThreadPool& pool) const {
    if (!scheme_.format) return 0;
    float largest = 0;
    for (size_t c = 0; c < scales.size(); ++c)
      largest = std::max(largest, inputs_.max_magnitude()[c] / scales[c]);
    const numeric::ActivationScheme input = calibrated_input(scheme_, largest);
    const std::span<const float> sample = inputs_.sample();
    std::vector<double> by_token(sample.size() / scales.size());
    each_row(static_cast<int64_t>(by_token.size()), inputs_.cols(), pool, [&](size_t at) {
      by_token[at / scales.size()] = error_of(input, sample.subspan(at, scales.size()), scales);
    });
    return std::accumulate(by_token.begin(), by_token.end(), 0.0) * static_cast<double>(inputs_.tokens()) /
           static_cast<double>(by_token.size());
  }

 private:
  // Of one token's x when x / scales is rounded.
  double error_of(const numeric::ActivationScheme& input, std::span<const float> x,
                  const std::vector<float>& scales) const {
    std::vector<float> divided(x.size()), rounded(x.size());
    for (size_t c = 0; c < x.size(); ++c) divided[c] = x[c] / scales[c];
    const float step =
        kernels::round_input(input, kernels::Precision::fp32, divided.data(), inputs_.cols(), rounded.data());
    double error = 0;
    for (size_t c = 0; c < x.size(); ++c) {
      const double beside = kernels::outlier_of(input, kernels::Precision::fp32, divided[c]);
      const double lost =
          (double{step} * double{rounded[c]} + beside - double{divided[c]}) * double{scales[c]};
      error += lost * lost * energies_[c];
    }
    return error;
  }

  numeric::ActivationScheme scheme_;
  const InputStatistics& inputs_;
  std::vector<double> energies_;  // Σ w_j² over the rows that tell, by column
};

// What a stage's outputs lose.
class StageProbe {
 public:
  StageProbe(BlockWeights& block, model::Stage stage, const InputStatistics& inputs) {
    for (const BlockWeights::Linear& linear : block.linears(stage)) {
      if (!linear.scheme) continue;
      weights_.emplace_back(linear, inputs);
      const numeric::ActivationScheme& input = linear.scheme->input;
      auto same = std::ranges::find(inputs_, input, &InputProbe::scheme);
      if (same == inputs_.end()) {
        inputs_.emplace_back(input, inputs);
        same = std::prev(inputs_.end());
      }
      same->add(weights_.back());
    }
  }

  double error(const std::vector<float>& scales, base::ThreadPool& pool) const {
    double error = 0;
    for (const WeightProbe& probe : weights_) error += probe.error(scales, pool);
    for (const InputProbe& probe : inputs_) error += probe.error(scales, pool);
    return error;
  }

 private:
  std::vector<WeightProbe> weights_;
  std::vector<InputProbe> inputs_;
};

// The step of [0, grid) with the least error: over the whole range in strides, then to both sides of the best
// in halved ones. The error is smooth enough that every step finds nothing better.
int best_step(int grid, const std::function<double(int)>& error_of) {
  int stride = 1;
  while (stride * 4 < grid) stride *= 2;
  int best = 0;
  double least = error_of(0);
  const auto look = [&](int step) {
    if (step < 0 || step >= grid) return;
    if (const double error = error_of(step); error < least) std::tie(best, least) = std::pair(step, error);
  };
  for (int step = stride; step < grid; step += stride) look(step);
  while (stride /= 2) {
    const int middle = best;
    look(middle - stride);
    look(middle + stride);
  }
  return best;
}

}  // namespace

void divide_by_best(BlockWeights& block, model::Stage stage, BlockStatistics& inputs, int grid,
                    const ScalesAt& scales_at, base::ThreadPool& pool) {
  const auto exponent = [&](int step) { return static_cast<float>(step) / static_cast<float>(grid); };
  const StageProbe probe(block, stage, inputs.at(stage));
  const int best = best_step(
      grid, [&](int step) { return probe.error(block.by_column(stage, scales_at(exponent(step))), pool); });
  block.divide_input(stage, scales_at(exponent(best)), inputs);
}

}  // namespace aquatint::quant
