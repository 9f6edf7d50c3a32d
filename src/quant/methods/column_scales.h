// The choice of scales that a stage's input is divided by, column by column, while the weights that read it
// are multiplied by them: AWQ's and SmoothQuant's families differ in the scales, not in what they are judged
// by.
#pragma once
#include <functional>
#include <vector>

#include "quant/block_weights.h"
#include "quant/method.h"

namespace aquatint::quant {

inline constexpr MethodSetting kGridSetting{"grid", MethodSetting::Type::integer,       20, 1,
                                            1000,   "steps of the exponent from 0 to 1"};

// By source of the stage's input (BlockWeights::sources), for an exponent of [0, 1).
using ScalesAt = std::function<std::vector<float>(float exponent)>;

// Divides the stage's input by the scales whose linears lose least at their outputs on the calibration
// tokens, of `grid` exponents: by rounded weights, tr(ΔW H ΔWᵀ), and by rounded inputs, Σ Δx_j² |w_j|² over a
// sample of tokens, as if errors of two columns had nothing to do with each other. A few hundred rows of each
// linear tell.
void divide_by_best(BlockWeights& block, model::Stage stage, BlockStatistics& inputs, int grid,
                    const ScalesAt& scales_at, base::ThreadPool& pool);

}  // namespace aquatint::quant
