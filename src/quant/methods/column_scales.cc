#include "quant/methods/column_scales.h"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "kernels/input_rounding.h"

namespace aquatint::quant {
namespace {

// Rows of a linear that tell how scales do, spread over it: all where rows share scales.
class Probe {
 public:
  Probe(const BlockWeights::Linear& linear, const InputStatistics& inputs)
      : scheme_(*linear.scheme), cols_(linear.matrix->cols), inputs_(inputs) {
    const int64_t step =
        scheme_.weights.rows_stand_alone() ? std::max<int64_t>(1, linear.matrix->rows / kRows) : 1;
    for (int64_t row = 0; row < linear.matrix->rows; row += step)
      values_.insert(values_.end(), linear.values.begin() + row * cols_,
                     linear.values.begin() + (row + 1) * cols_);
  }

  // Squared, of the outputs of these rows over all calibration tokens.
  double error(const std::vector<float>& scales, base::ThreadPool& pool) const {
    return by_weights(scales, pool) + by_inputs(scales, pool);
  }

 private:
  static constexpr int64_t kRows = 256;

  double by_weights(const std::vector<float>& scales, base::ThreadPool& pool) const {
    const int64_t rows = static_cast<int64_t>(values_.size()) / cols_;
    std::vector<float> scaled(values_.size());
    each_row(rows, pool, [&](size_t at) {
      for (size_t c = 0; c < scales.size(); ++c) scaled[at + c] = values_[at + c] * scales[c];
    });
    std::vector<float> difference =
        values_of(rtn.quantize(scaled, rows, cols_, scheme_.weights, {.clip = Clip::none}, pool), pool);
    each_row(rows, pool, [&](size_t at) {
      for (size_t c = 0; c < scales.size(); ++c)
        difference[at + c] = difference[at + c] / scales[c] - values_[at + c];
    });
    return inputs_.output_error(difference);
  }

  double by_inputs(const std::vector<float>& scales, base::ThreadPool& pool) const {
    if (!scheme_.input.format) return 0;
    std::vector<float> seen(inputs_.max_magnitude().begin(), inputs_.max_magnitude().end());
    for (size_t c = 0; c < seen.size(); ++c) seen[c] /= scales[c];
    const numeric::ActivationScheme input =
        calibrated_input(scheme_, *std::max_element(seen.begin(), seen.end()));
    const std::vector<double> weights = energies(scales);
    const std::span<const float> sample = inputs_.sample();
    std::vector<double> by_token(sample.size() / scales.size());
    each_row(static_cast<int64_t>(by_token.size()), pool, [&](size_t at) {
      by_token[at / scales.size()] = error_of(input, sample.subspan(at, scales.size()), scales, weights);
    });
    return std::accumulate(by_token.begin(), by_token.end(), 0.0) * static_cast<double>(inputs_.tokens()) /
           static_cast<double>(by_token.size());
  }

  // Of one token's x when x / scales is rounded, squared and weighed by column.
  static double error_of(const numeric::ActivationScheme& input, std::span<const float> x,
                         const std::vector<float>& scales, const std::vector<double>& weights) {
    std::vector<float> divided(x.size()), rounded(x.size());
    for (size_t c = 0; c < x.size(); ++c) divided[c] = x[c] / scales[c];
    const float step = kernels::round_input(input, kernels::Precision::fp32, divided.data(),
                                            static_cast<int64_t>(x.size()), rounded.data());
    double error = 0;
    for (size_t c = 0; c < x.size(); ++c) {
      const double beside = kernels::outlier_of(input, kernels::Precision::fp32, divided[c]);
      const double difference = double{step} * double{rounded[c]} + beside - double{divided[c]};
      error += difference * difference * weights[c];
    }
    return error;
  }

  // Σ (w_j · scale_j)² over the rows, by column.
  std::vector<double> energies(const std::vector<float>& scales) const {
    std::vector<double> energies(scales.size());
    for (size_t at = 0; at < values_.size(); at += scales.size())
      for (size_t c = 0; c < scales.size(); ++c) {
        const double scaled = double{values_[at + c]} * double{scales[c]};
        energies[c] += scaled * scaled;
      }
    return energies;
  }

  template <class Body>
  void each_row(int64_t rows, base::ThreadPool& pool, Body body) const {
    pool.parallel_for(rows, 16, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) body(static_cast<size_t>(row * cols_));
    });
  }

  const numeric::Scheme& scheme_;
  int64_t cols_;
  const InputStatistics& inputs_;
  std::vector<float> values_;  // [rows][cols_]
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
  std::vector<Probe> probes;
  for (const BlockWeights::Linear& linear : block.linears(stage))
    if (linear.scheme) probes.emplace_back(linear, inputs.at(stage));
  const int best = best_step(grid, [&](int step) {
    const std::vector<float> scales = block.by_column(stage, scales_at(exponent(step)));
    double error = 0;
    for (const Probe& probe : probes) error += probe.error(scales, pool);
    return error;
  });
  block.divide_input(stage, scales_at(exponent(best)), inputs);
}

}  // namespace aquatint::quant
