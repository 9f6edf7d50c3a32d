// SmoothQuant (Xiao et al., arXiv 2211.10438): columns of inputs with large values hand their size over to
// the weights that read them: s_j = max|x_j|^α / max|w_j|^(1−α).
#include <algorithm>
#include <array>
#include <cmath>

#include "quant/methods/column_scales.h"

namespace aquatint::quant {
namespace {

using model::Stage;

constexpr float kLeast = 1e-5f;  // of a scale and of what it is made from

constexpr std::array kSettings = {
    MethodSetting{
        "alpha", MethodSetting::Type::number, -1, -1, 1,
        "share of the inputs' range that the weights take over; below 0: for each stage what loses least"},
    kGridSetting};

// The largest magnitude of each source of the stage's input, in the inputs and in the weights that read them.
struct Ranges {
  std::vector<float> inputs, weights;
};

Ranges ranges_of(BlockWeights& block, const InputStatistics& inputs, Stage stage) {
  const auto count = static_cast<size_t>(block.sources(stage));
  Ranges ranges{std::vector<float>(count), std::vector<float>(count)};
  const auto seen = inputs.max_magnitude();
  for (int64_t c = 0; c < inputs.cols(); ++c) {
    float& range = ranges.inputs[static_cast<size_t>(block.source_of(stage, c))];
    range = std::max(range, seen[static_cast<size_t>(c)]);
  }
  for (const BlockWeights::Linear& linear : block.linears(stage))
    for (size_t i = 0; i < linear.values.size(); ++i) {
      const auto c = static_cast<int64_t>(i) % inputs.cols();
      float& range = ranges.weights[static_cast<size_t>(block.source_of(stage, c))];
      range = std::max(range, std::fabs(linear.values[i]));
    }
  return ranges;
}

std::vector<float> scales_for(const Ranges& ranges, float alpha) {
  std::vector<float> scales(ranges.inputs.size());
  for (size_t i = 0; i < scales.size(); ++i)
    scales[i] = std::max(kLeast, std::pow(std::max(ranges.inputs[i], kLeast), alpha) /
                                     std::pow(std::max(ranges.weights[i], kLeast), 1 - alpha));
  return scales;
}

void transform(BlockWeights& block, BlockStatistics& inputs, const base::Json& settings,
               base::ThreadPool& pool) {
  const auto alpha = settings.at("alpha").get<float>();
  const auto grid = settings.at("grid").get<int>();
  for (const Stage stage : model::kStages) {
    if (!block.divisible(stage)) continue;
    const Ranges ranges = ranges_of(block, inputs.at(stage), stage);
    if (alpha >= 0)
      block.divide_input(stage, scales_for(ranges, alpha), inputs);
    else
      divide_by_best(
          block, stage, inputs, grid, [&](float tried) { return scales_for(ranges, tried); }, pool);
  }
}

}  // namespace

const Method smoothquant = {
    "smoothquant", "moves the range of large inputs into the weights; needs calibration",
    nullptr,       transform,
    kSettings,     true};

}  // namespace aquatint::quant
