// Block by block: a scale from the block's own values, then the nearest codes. What methods without feedback
// between blocks share; they differ in how a block's scale is chosen.
#pragma once
#include <functional>

#include "quant/methods/block_rule.h"

namespace aquatint::quant {

// Scales and zero-points as BlockRule::choose gives them; called from many threads.
using ChooseScale = std::function<BlockScale(const Block&)>;

// `rule` rounds, `divisor` is the one that it was made with.
tensor::QuantizedMatrix round_blocks(std::span<const float> weights, int64_t rows, int64_t cols,
                                     const numeric::WeightScheme& scheme, const MethodOptions& options,
                                     const BlockRule& rule, float divisor, const ChooseScale& choose,
                                     base::ThreadPool& pool);

}  // namespace aquatint::quant
