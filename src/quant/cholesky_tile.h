// The square tiles of a Cholesky factorization, on the calling thread; rows are a stride apart.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

namespace aquatint::quant {

constexpr int64_t kCholeskyTile = 120;  // rows and columns, at most

// The lower triangle of a [width][width] becomes L with L Lᵀ = A; false where A is not positive definite.
inline bool factorize_tile(double* a, int64_t stride, int64_t width) {
  for (int64_t j = 0; j < width; ++j) {
    double* row = a + j * stride;
    for (int64_t i = 0; i < j; ++i) {
      const double* other = a + i * stride;
      double sum = row[i];
      for (int64_t k = 0; k < i; ++k) sum -= row[k] * other[k];
      row[i] = sum / other[i];
    }
    double pivot = row[j];
    for (int64_t k = 0; k < j; ++k) pivot -= row[k] * row[k];
    if (!(pivot > 0) || !std::isfinite(pivot)) return false;
    row[j] = std::sqrt(pivot);
  }
  return true;
}

// x = L⁻¹, column by column, its rows kCholeskyTile apart; what is above its diagonal stays as it was.
inline void invert_tile(const double* l, int64_t stride, int64_t width, double* x) {
  for (int64_t j = 0; j < width; ++j)
    for (int64_t i = j; i < width; ++i) {
      double sum = i == j ? 1.0 : 0.0;
      for (int64_t k = j; k < i; ++k) sum -= l[i * stride + k] * x[k * kCholeskyTile + j];
      x[i * kCholeskyTile + j] = sum / l[i * stride + i];
    }
}

// The upper triangle of such a tile's transpose, zeros below it.
inline std::vector<double> transposed_tile(const double* x, int64_t width) {
  std::vector<double> transposed(static_cast<size_t>(kCholeskyTile * kCholeskyTile));
  for (int64_t i = 0; i < width; ++i)
    for (int64_t j = 0; j <= i; ++j)
      transposed[static_cast<size_t>(j * kCholeskyTile + i)] = x[i * kCholeskyTile + j];
  return transposed;
}

}  // namespace aquatint::quant
