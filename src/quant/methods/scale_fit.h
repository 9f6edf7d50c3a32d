// Scales fitted to codes that are already chosen: for each row, those that leave the least output error
// Σ (w − s·q) H (w − s·q)ᵀ, all groups together. Bits and layout stay.
#pragma once
#include <span>

#include "quant/input_statistics.h"
#include "tensor/quantized_matrix.h"

namespace aquatint::quant {

// `matrix` has its codes; its blocks are `group` columns of one row. `scales` and `zeros` (empty: none) are
// by row and group; a row's scales become the fitted ones, rounded to the matrix's scale format, where those
// lose less.
void fit_scales(const tensor::QuantizedMatrix& matrix, std::span<const float> weights, int64_t group,
                const InputStatistics& inputs, std::span<const float> zeros, std::span<float> scales,
                base::ThreadPool& pool);

}  // namespace aquatint::quant
