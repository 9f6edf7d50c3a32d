// One linear: its codes found by the plan's method, measured against its values, and written.
#pragma once
#include "quant/block_weights.h"
#include "quant/run.h"

namespace aquatint::quant {

// The largest weight of linears that servers fuse, where a scale of the whole matrix is taken from it; else
// 0. `weights`: their values, where they are not the source's.
float shared_largest(std::span<const ModelMatrix> linears, BlockWeights* weights, const Run& run);

// `found`: codes that are already there, else the plan's method finds them. Takes the values out of
// `weights`, or reads the source's when that is null. `inputs`: null without calibration. Returns what the
// written model will hold.
tensor::QuantizedMatrix write_linear(const ModelMatrix& matrix, BlockWeights* weights,
                                     const InputStatistics* inputs, float largest,
                                     tensor::QuantizedMatrix* found, Run& run);

}  // namespace aquatint::quant
