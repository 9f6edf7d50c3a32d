// Dense FP32 products over the kernel set's add_product, rows shared out among threads; each element is one
// chain of sums, so results do not depend on the threads.
#pragma once
#include <algorithm>
#include <vector>

#include "model/model.h"

namespace aquatint::model {

inline std::vector<float> transposed(const float* m, int64_t rows, int64_t cols) {
  constexpr int64_t kTile = 32;
  std::vector<float> t(static_cast<size_t>(rows * cols));
  for (int64_t r0 = 0; r0 < rows; r0 += kTile)
    for (int64_t c0 = 0; c0 < cols; c0 += kTile)
      for (int64_t r = r0; r < std::min(rows, r0 + kTile); ++r)
        for (int64_t c = c0; c < std::min(cols, c0 + kTile); ++c)
          t[static_cast<size_t>(c * rows + r)] = m[r * cols + c];
  return t;
}

// c[rows][cols] += a[rows][depth] · b[depth][cols], all dense.
inline void add_product(const float* a, const float* b, float* c, int64_t rows, int64_t cols, int64_t depth,
                        const Backend& backend) {
  constexpr int64_t kRows = 64, kDepth = 256;  // of one call: its piece of b stays in the cache
  backend.pool->parallel_for((rows + kRows - 1) / kRows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin * kRows; first < std::min(rows, end * kRows); first += kRows)
      for (int64_t k = 0; k < depth; k += kDepth)
        backend.host_kernels().add_product({a + first * depth + k, depth, b + k * cols, cols,
                                            c + first * cols, cols, std::min(kRows, rows - first), cols,
                                            std::min(kDepth, depth - k)});
  });
}

}  // namespace aquatint::model
