// AWQ (Lin et al., arXiv 2306.00978): columns that meet large inputs are scaled up before rounding, so that
// they lose less, and the inputs down. s = mean|x|^α, normalised; α is the one that loses least on the
// calibration tokens, without running the block again (methods/column_scales.h). The clip that the paper
// searches afterwards is that of the method that finds the codes.
#include <algorithm>
#include <array>
#include <cmath>

#include "quant/methods/column_scales.h"

namespace aquatint::quant {
namespace {

using model::Stage;

constexpr std::array kSettings = {kGridSetting};

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

void transform(BlockWeights& block, BlockStatistics& inputs, const base::Json& settings,
               base::ThreadPool& pool) {
  const auto grid = settings.at("grid").get<int>();
  for (const Stage stage : model::kStages) {
    if (!block.divisible(stage)) continue;
    const std::vector<float> means = mean_inputs(block, inputs.at(stage), stage);
    divide_by_best(
        block, stage, inputs, grid, [&](float exponent) { return scales_for(means, exponent); }, pool);
  }
}

}  // namespace

const Method awq = {"awq",     "scales up the columns that meet large inputs; needs calibration",
                    nullptr,   transform,
                    kSettings, true};

}  // namespace aquatint::quant
