// Dense products on the host. Results do not depend on the threads.
#pragma once
#include <algorithm>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/lanes.h"
#include "model/model.h"

namespace aquatint::model {

// Four rows of four numbers, m_row apart, become columns of t.
inline void transpose_four(const float* m, int64_t m_row, float* t, int64_t t_row) {
  using base::kLanes, base::Lanes;
  const auto row = [&](int64_t r) {
    return base::load_lanes(m + r * m_row, std::integral_constant<int64_t, kLanes>{});
  };
  const Lanes a = row(0), b = row(1), c = row(2), d = row(3);
  const Lanes ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5),
              cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const Lanes ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7),
              cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  const auto put = [&](int64_t r, const Lanes& x) {
    base::store_lanes(t + r * t_row, std::integral_constant<int64_t, kLanes>{}, x);
  };
  put(0, __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5));
  put(1, __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7));
  put(2, __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5));
  put(3, __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7));
}

// The rows of m [rows][cols] become columns of t; rows of each are a stride apart.
inline void transpose(const float* m, int64_t m_row, int64_t rows, int64_t cols, float* t, int64_t t_row) {
  constexpr int64_t kFour = base::kLanes, kTile = 16;  // columns of m: a line read, and few enough written
  for (int64_t first = 0; first < cols; first += kTile)
    for (int64_t r = 0; r < rows; r += kFour)
      for (int64_t c = first; c < std::min(cols, first + kTile); c += kFour) {
        if (r + kFour <= rows && c + kFour <= cols) {
          transpose_four(m + r * m_row + c, m_row, t + c * t_row + r, t_row);
          continue;
        }
        for (int64_t i = r; i < std::min(rows, r + kFour); ++i)
          for (int64_t j = c; j < std::min(cols, c + kFour); ++j) t[j * t_row + i] = m[i * m_row + j];
      }
}

inline std::vector<float> transposed(const float* m, int64_t rows, int64_t cols, base::ThreadPool& pool) {
  std::vector<float> t(static_cast<size_t>(rows * cols));
  pool.parallel_for(rows, 32, [&](int64_t begin, int64_t end) {
    transpose(m + begin * cols, cols, end - begin, cols, t.data() + begin, rows);
  });
  return t;
}

// For linear() in the backend's precision. `input`: what it is to round its inputs to.
inline std::unique_ptr<kernels::PackedMatrix> pack_dense(std::span<const float> values, int64_t rows,
                                                         int64_t cols, const Backend& backend,
                                                         const numeric::ActivationScheme& input = {}) {
  AQ_CHECK(static_cast<int64_t>(values.size()) == rows * cols, "{} values", values.size());
  tensor::QuantizedMatrix m;
  m.format = &numeric::fp32;
  m.rows = rows, m.cols = cols;
  m.codes = tensor::Storage::borrowed(std::as_bytes(values));
  m.input = input;
  const tensor::QuantizedMatrix* part = &m;
  return backend.host_kernels().pack({&part, 1}, backend.precision, *backend.pool);
}

// c[rows][cols] += a[rows][depth] · b[depth][cols] in FP32, all dense; each element is one chain of sums.
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
