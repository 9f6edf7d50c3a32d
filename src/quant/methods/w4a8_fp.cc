// ZeroQuant-FP (Wu et al., arXiv 2307.09782): weights in a floating-point format of few bits, found with
// GPTQ's feedback, for inputs in FP8. Its limits on scales make the step from FP4 to FP8 a shift of the
// exponent:
//   m1: every scale is a power of two;
//   m2: a row has one scale of any value, S, and its groups S · 2^−k, 0 ≤ k ≤ 8.
// The paper rounds exponents up (M1) or takes S from the row's largest scale (M2); here the exponent that
// loses least on the group's weights is taken, weighed by what errors cost, and S is searched around the
// largest scale.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "quant/methods/feedback_rounding.h"

namespace aquatint::quant {
namespace {

using Type = MethodSetting::Type;
constexpr std::array<std::string_view, 3> kLimits = {"free", "m1", "m2"};
constexpr std::array kSettings = {
    MethodSetting{"scales", Type::word, 0, 0, 2, "m1: powers of two; m2: powers of two under one scale a row",
                  kLimits},
    kDampSetting,
    kBlockSetting,
    kActOrderSetting,
};

constexpr int kLargestShift = 8;
constexpr int kRowScaleSteps = 16;  // in an octave

// The best of `base` · 2^e for the two e around the free choice, kept in [lowest, highest].
Chosen shifted_scale(const BlockRule& rule, const Block& block, float base, int lowest, int highest) {
  const float wanted = std::log2(std::fabs(rule.choose(block).scale) / base);
  const int below = static_cast<int>(std::floor(wanted));
  Chosen best;
  for (const int exponent : {below, below + 1}) {
    const float scale = rule.stored({std::ldexp(base, std::clamp(exponent, lowest, highest))}).scale;
    const double misfit = rule.misfit(block, {scale});
    if (misfit < best.misfit) best = {scale, 0, misfit};
  }
  return best;
}

BlockScale power_of_two(const BlockRule& rule, const Block& block) {
  constexpr int kLowest = -120, kHighest = 120;  // inside what BF16 and FP32 hold
  return {shifted_scale(rule, block, 1, kLowest, kHighest).scale};
}

// A row cut into its groups, each with the importance of its columns.
class RowGroups {
 public:
  RowGroups(std::span<const float> row, std::span<const float> importance, int64_t group) {
    for (size_t first = 0; first < row.size(); first += static_cast<size_t>(group)) {
      copies_.emplace_back(group, true);
      std::copy_n(row.begin() + static_cast<int64_t>(first), group, copies_.back().values());
      std::copy_n(importance.begin() + static_cast<int64_t>(first), group, copies_.back().importance());
      blocks_.push_back(copies_.back().block(group));
    }
  }
  std::span<const Block> blocks() const { return blocks_; }

 private:
  std::vector<BlockCopy> copies_;
  std::vector<Block> blocks_;
};

// S of one row: from half an octave below its largest free scale to half above, the one whose shifts lose
// least.
float row_scale(const BlockRule& rule, const RowGroups& groups) {
  float largest = 0;
  for (const Block& block : groups.blocks()) largest = std::max(largest, rule.choose(block).scale);
  Chosen best;
  for (int step = -kRowScaleSteps / 2; step <= kRowScaleSteps / 2; ++step) {
    const float factor = std::exp2(static_cast<float>(step) / kRowScaleSteps);
    const float base = rule.stored({largest * factor}).scale;
    double total = 0;
    for (const Block& block : groups.blocks())
      total += shifted_scale(rule, block, base, -kLargestShift, 0).misfit;
    if (total < best.misfit) best = {base, 0, total};
  }
  return best.scale;
}

std::vector<float> row_scales(std::span<const float> weights, int64_t cols, int64_t group,
                              const BlockRule& rule, std::span<const float> costs, base::ThreadPool& pool) {
  std::vector<float> scales(weights.size() / costs.size());
  pool.parallel_for(static_cast<int64_t>(scales.size()), 4, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      scales[static_cast<size_t>(row)] = row_scale(
          rule, RowGroups(weights.subspan(static_cast<size_t>(row * cols), static_cast<size_t>(cols)), costs,
                          group));
  });
  return scales;
}

void check(const numeric::WeightScheme& scheme) {
  if (scheme.format->kind == numeric::Kind::floating && scheme.rows_stand_alone() &&
      scheme.scale_format->bits >= 16)
    return;
  throw base::BadUsage(fmt::format(
      "w4a8_fp makes floating-point weights in groups or rows under scales of 16 or 32 bits, not {} weights "
      "under {}; take scheme W4A8_FP, or method gptq",
      scheme.format->name, scheme.scale_format->name));
}

tensor::QuantizedMatrix quantize(std::span<const float> weights, int64_t rows, int64_t cols,
                                 const numeric::WeightScheme& scheme, const MethodOptions& options,
                                 base::ThreadPool& pool) {
  check(scheme);
  const FeedbackOptions feedback = feedback_options(options.settings);
  const auto limits = options.settings.at("scales").get<std::string>();
  const auto rule = BlockRule::of(scheme, options.clip, "w4a8_fp");
  const int64_t group = scheme.granularity == numeric::Granularity::group ? scheme.group : cols;
  std::vector<float> bases;
  if (limits == "m2")
    bases = row_scales(weights, cols, group, *rule, column_costs(*options.inputs, feedback), pool);
  const ChooseGroupScale choose = [&](const Block& block, int64_t row) -> BlockScale {
    if (limits == "m1") return power_of_two(*rule, block);
    if (limits == "m2")
      return {shifted_scale(*rule, block, bases[static_cast<size_t>(row)], -kLargestShift, 0).scale};
    return rule->choose(block);
  };
  return round_with_feedback(weights, rows, cols, scheme, options, feedback, *rule, choose, "w4a8_fp", pool);
}

}  // namespace

const Method w4a8_fp = {
    "w4a8_fp", "gptq for FP4 weights, their scales free or limited to shifts; needs calibration",
    quantize,  nullptr,
    kSettings, true,
    true};

}  // namespace aquatint::quant
