// The truncated singular value decomposition that low-rank compensation asks for.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "model/model.h"

namespace aquatint::quant {

// U [rows][rank] with orthonormal columns, those that keep most of tr(Uᵀ E H Eᵀ U), largest first: the
// leading left singular vectors of E · H^½ for E [rows][cols] and symmetric, positive semidefinite H
// [cols][cols]; an empty H is the identity. rank ≤ min(rows, cols). Results do not depend on the threads.
std::vector<float> leading_directions(std::span<const float> e, int64_t rows, std::span<const float> h,
                                      int64_t rank, const model::Backend& backend);

// R [rank][cols] that brings L · R nearest to E, for every H: (LᵀL)⁻¹ Lᵀ E for L [rows][rank] of full rank.
std::vector<float> fitted_right(std::span<const float> e, std::span<const float> left, int64_t rank,
                                const model::Backend& backend);

}  // namespace aquatint::quant
