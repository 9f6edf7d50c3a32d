// AWQ (Lin et al., arXiv 2306.00978): columns that meet large inputs are scaled up before rounding, so that
// they lose less, and the inputs down. s = mean|x|^α, normalised; α is the one whose rounded weights give the
// least output error, tr(ΔW H ΔWᵀ), on the calibration tokens: their Gram matrix is enough,
// the block is not run again. The clip that the paper searches afterwards is that of the method that finds
// the codes.
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <tuple>

#include "quant/block_weights.h"
#include "quant/method.h"

namespace aquatint::quant {
namespace {

using model::Stage;

constexpr std::array kSettings = {
    MethodSetting{"grid", MethodSetting::Type::integer, 20, 1, 1000, "steps of the exponent from 0 to 1"}};

// By source of the stage's input.
std::vector<float> mean_inputs(const BlockWeights& block, const InputStatistics& inputs, Stage stage) {
  std::vector<float> means(static_cast<size_t>(block.sources(stage)));
  const auto share = static_cast<float>(block.sources(stage)) / static_cast<float>(inputs.cols());
  for (int64_t c = 0; c < inputs.cols(); ++c)
    means[static_cast<size_t>(block.source_of(stage, c))] +=
        inputs.mean_magnitude()[static_cast<size_t>(c)] * share;
  return means;
}

// means^α over the geometric mean of the largest and the smallest.
std::vector<float> scales_for(const std::vector<float>& means, float alpha) {
  std::vector<float> scales(means.size());
  for (size_t i = 0; i < means.size(); ++i) scales[i] = std::pow(std::max(means[i], 1e-4f), alpha);
  const auto [least, most] = std::minmax_element(scales.begin(), scales.end());
  const float middle = std::sqrt(*least * *most);
  for (float& scale : scales) scale /= middle;
  return scales;
}

// Rows [first, first + count) of to[rows][cols] = values · scale of the column.
void scale_columns(const std::vector<float>& values, const std::vector<float>& by_column, int64_t first,
                   int64_t count, std::vector<float>& to) {
  const size_t cols = by_column.size();
  for (size_t at = static_cast<size_t>(first) * cols; at < static_cast<size_t>(first + count) * cols;
       at += cols)
    for (size_t c = 0; c < cols; ++c) to[at + c] = values[at + c] * by_column[c];
}

// Of all linears of the stage that get fewer bits, when their columns are scaled, rounded, and scaled back.
double output_error(BlockWeights& block, const InputStatistics& inputs, Stage stage,
                    const std::vector<float>& scales, base::ThreadPool& pool) {
  std::vector<float> by_column(static_cast<size_t>(inputs.cols())), back(by_column.size());
  for (size_t c = 0; c < by_column.size(); ++c) {
    by_column[c] = scales[static_cast<size_t>(block.source_of(stage, static_cast<int64_t>(c)))];
    back[c] = 1 / by_column[c];
  }
  double error = 0;
  for (const BlockWeights::Linear& linear : block.linears(stage)) {
    if (!linear.scheme) continue;
    const auto [rows, cols] = std::pair(linear.matrix->rows, inputs.cols());
    std::vector<float> scaled(linear.values.size());
    pool.parallel_for(rows, 16, [&](int64_t begin, int64_t end) {
      scale_columns(linear.values, by_column, begin, end - begin, scaled);
    });
    const tensor::QuantizedMatrix rounded =
        rtn.quantize(scaled, rows, cols, linear.scheme->weights, {.clip = Clip::none}, pool);
    std::vector<float> difference = values_of(rounded, pool);
    pool.parallel_for(rows, 16, [&](int64_t begin, int64_t end) {
      scale_columns(difference, back, begin, end - begin, difference);
      for (int64_t i = begin * inputs.cols(); i < end * inputs.cols(); ++i)
        difference[static_cast<size_t>(i)] -= linear.values[static_cast<size_t>(i)];
    });
    error += inputs.output_error(difference);
  }
  return error;
}

// The exponent of [0, 1), in steps of 1/grid, with the least error: over the whole range in strides, then to
// both sides of the best in halved ones. The error is smooth enough that every step finds nothing better.
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

void transform(BlockWeights& block, BlockStatistics& inputs, const base::Json& settings,
               base::ThreadPool& pool) {
  const auto grid = settings.at("grid").get<int>();
  for (const Stage stage : model::kStages) {
    if (!block.divisible(stage)) continue;
    const std::vector<float> means = mean_inputs(block, inputs.at(stage), stage);
    const auto scales_at = [&](int step) {
      return scales_for(means, static_cast<float>(step) / static_cast<float>(grid));
    };
    const int best = best_step(
        grid, [&](int step) { return output_error(block, inputs.at(stage), stage, scales_at(step), pool); });
    block.divide_input(stage, scales_at(best), inputs);
  }
}

}  // namespace

const Method awq = {"awq",     "scales up the columns that meet large inputs; needs calibration",
                    nullptr,   transform,
                    kSettings, true};

}  // namespace aquatint::quant
