// The scale of one block: the one its largest value asks for, or the one of least squared error.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "quant/methods/grids.h"

namespace aquatint::quant {

// Values of one block, padded with zeros to a multiple of kLanes; zeros are exact in every grid, so they add
// no error. `importance` (padded likewise) weighs the squared errors; null: all alike.
struct Block {
  const float* values;
  const float* importance;
  int64_t padded;
};

// Sums over a block for one candidate: the weighted squared error, and what the least-squares scale is made
// of.
struct Fit {
  double error = std::numeric_limits<double>::infinity();
  double value_grid = 0, grid_grid = 0;  // Σ h·w·g, Σ h·g², g being the nearest grid values

  double best_scale() const { return grid_grid > 0 ? value_grid / grid_grid : 0; }
};

// `zero`: the grid is that of code − zero (0 for symmetric schemes).
template <class Grid>
Fit fit(const Block& block, const Grid& grid, float scale, float zero) {
  Fit total{0, 0, 0};
  const float inverse = 1.0f / scale;
  // FP32 lanes over at most 32 vectors, then FP64: short sums stay exact enough to rank neighbouring
  // candidates.
  for (int64_t begin = 0; begin < block.padded; begin += 32 * kLanes) {
    const int64_t end = std::min(block.padded, begin + 32 * kLanes);
    Lanes error{}, value_grid{}, grid_grid{};
    for (int64_t i = begin; i < end; i += kLanes) {
      Lanes value, nearest;
      std::memcpy(&value, block.values + i, sizeof value);
      grid.nearest(value * inverse + zero, nearest);
      nearest -= zero;
      const Lanes difference = value - nearest * scale;
      Lanes weighted_difference = difference, weighted_nearest = nearest;
      if (block.importance) {
        Lanes importance;
        std::memcpy(&importance, block.importance + i, sizeof importance);
        weighted_difference *= importance;
        weighted_nearest *= importance;
      }
      error += difference * weighted_difference;
      value_grid += value * weighted_nearest;
      grid_grid += nearest * weighted_nearest;
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      total.error += error[lane];
      total.value_grid += value_grid[lane];
      total.grid_grid += grid_grid[lane];
    }
  }
  return total;
}

struct Chosen {
  float scale = 1, zero = 0;
  Fit fit;
};

// Tries `scale` (already in its stored format); keeps it when its error is smaller.
template <class Grid>
void consider(const Block& block, const Grid& grid, float scale, float zero, Chosen& best) {
  const Fit candidate = fit(block, grid, scale, zero);
  if (candidate.error < best.fit.error) best = {scale, zero, candidate};
}

// Alternates between codes for a scale and the least-squares scale for those codes, while it helps.
template <class Grid, class Round>
void refine(const Block& block, const Grid& grid, const Round& round, Chosen& best) {
  for (int step = 0; step < 3; ++step) {
    const float scale = round(static_cast<float>(best.fit.best_scale()));
    if (scale == best.scale) return;
    const double before = best.fit.error;
    consider(block, grid, scale, best.zero, best);
    if (!(best.fit.error < before)) return;
  }
}

}  // namespace aquatint::quant
