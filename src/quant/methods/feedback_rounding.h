// GPTQ's loop over the columns: each error is taken up by the columns behind it. Methods that use it differ
// in how a group's scale is chosen.
#pragma once
#include <functional>

#include "quant/methods/block_rule.h"

namespace aquatint::quant {

struct FeedbackOptions {
  double damp = 0.01;      // added to H's diagonal, as a share of its mean
  int64_t block = 128;     // columns whose errors reach the rest of a row together
  bool act_order = false;  // columns of the largest inputs first; scales are rtn's, taken before
};

// The scale of a group of `row` when its turn comes: `group` holds its weights as they are by then and, as
// importance, what an error will cost there, 1 / U_jj². Called from many threads. Not asked where scales are
// rtn's: with act_order, and where rows share them or they have two levels.
using ChooseGroupScale = std::function<BlockScale(const Block& group, int64_t row)>;

// `method` is named in errors. Needs options.inputs.
tensor::QuantizedMatrix round_with_feedback(std::span<const float> weights, int64_t rows, int64_t cols,
                                            const numeric::WeightScheme& scheme, const MethodOptions& options,
                                            const FeedbackOptions& feedback, const BlockRule& rule,
                                            const ChooseGroupScale& choose, std::string_view method,
                                            base::ThreadPool& pool);

}  // namespace aquatint::quant
