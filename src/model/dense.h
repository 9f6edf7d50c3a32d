// Dense products on the host. Results do not depend on the threads.
#pragma once
#include <algorithm>
#include <memory>
#include <vector>

#include "base/error.h"
#include "model/model.h"

namespace aquatint::model {

// Rows [begin, end) of m[rows][cols] become columns of t[cols][rows].
inline void transpose(const float* m, int64_t rows, int64_t cols, int64_t begin, int64_t end, float* t) {
  constexpr int64_t kTile = 32;
  for (int64_t r0 = begin; r0 < end; r0 += kTile)
    for (int64_t c0 = 0; c0 < cols; c0 += kTile)
      for (int64_t r = r0; r < std::min(end, r0 + kTile); ++r)
        for (int64_t c = c0; c < std::min(cols, c0 + kTile); ++c) t[c * rows + r] = m[r * cols + c];
}

inline std::vector<float> transposed(const float* m, int64_t rows, int64_t cols) {
  std::vector<float> t(static_cast<size_t>(rows * cols));
  transpose(m, rows, cols, 0, rows, t.data());
  return t;
}
inline std::vector<float> transposed(const float* m, int64_t rows, int64_t cols, base::ThreadPool& pool) {
  std::vector<float> t(static_cast<size_t>(rows * cols));
  pool.parallel_for(rows, 32,
                    [&](int64_t begin, int64_t end) { transpose(m, rows, cols, begin, end, t.data()); });
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
