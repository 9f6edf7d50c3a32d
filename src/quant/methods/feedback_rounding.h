// GPTQ's loop over the columns: each error is taken up by the columns behind it. Methods that use it differ
// in how a group's scale is chosen.
#pragma once
#include <functional>

#include "quant/input_statistics.h"
#include "quant/methods/block_rule.h"

namespace aquatint::quant {

struct FeedbackOptions {
  double damp;     // added to H's diagonal, as a share of its mean
  int64_t block;   // columns whose errors reach the rest of a row together
  bool act_order;  // columns of the largest inputs first; scales are chosen before
  // Columns, in whole blocks and groups, whose errors reach those behind them in one product of matrices: a
  // few rows of them, and what they are multiplied by, stay in L2. Changes the rounding of sums only.
  int64_t stretch = 2048;
};

inline constexpr MethodSetting kDampSetting{
    "damp", MethodSetting::Type::number, 0.01, 0, 1, "added to H's diagonal, as a share of its mean"},
    kBlockSetting{"block", MethodSetting::Type::integer,
                  128,     16,
                  4096,    "columns whose errors reach the rest of a row together"},
    kActOrderSetting{"act_order", MethodSetting::Type::boolean,
                     1,           0,
                     1,           "columns of the largest inputs first; scales come before"};

// From these.
FeedbackOptions feedback_options(const base::Json& settings);

// The scale of a group of `row`: `group` holds its weights, as they are when its turn comes or, with
// act_order, as they were at first, and their column_costs() as importance. Called from many threads. Not
// asked where rows share scales or they have two levels: these are rtn's.
using ChooseGroupScale = std::function<BlockScale(const Block& group, int64_t row)>;

// How scales weigh errors by column: with act_order by the inputs' mean squares, otherwise by 1 / U_jj², what
// an error costs when the columns behind it have taken up of it what they can. (With act_order the latter is
// worse: SmolLM2 in W4A16, mean KLD 0.106 against 0.093.)
std::vector<float> column_costs(const InputStatistics& inputs, const FeedbackOptions& options);

// `method` is named in errors. Needs options.inputs.
tensor::QuantizedMatrix round_with_feedback(std::span<const float> weights, int64_t rows, int64_t cols,
                                            const numeric::WeightScheme& scheme, const MethodOptions& options,
                                            const FeedbackOptions& feedback, const BlockRule& rule,
                                            const ChooseGroupScale& choose, std::string_view method,
                                            base::ThreadPool& pool);

}  // namespace aquatint::quant
