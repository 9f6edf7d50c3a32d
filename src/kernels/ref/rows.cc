// Operations on rows of activations.
#include <cmath>

#include "kernels/ref/ref.h"

namespace aquatint::kernels::ref {

void rms_norm(const float* x, const float* weight, float eps, int64_t rows, int64_t cols, float* y,
              base::ThreadPool&) {
  for (int64_t row = 0; row < rows; ++row, x += cols, y += cols) {
    double squares = 0;
    for (int64_t i = 0; i < cols; ++i) squares += static_cast<double>(x[i]) * x[i];
    const double factor = 1.0 / std::sqrt(squares / static_cast<double>(cols) + eps);
    for (int64_t i = 0; i < cols; ++i) y[i] = static_cast<float>(x[i] * factor * weight[i]);
  }
}

void rope(float* x, int64_t rows, int64_t stride, int64_t heads, int64_t head_dim, const int32_t* positions,
          const float* inv_freq, float attention_factor, base::ThreadPool&) {
  const int64_t half = head_dim / 2;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t head = 0; head < heads; ++head) {
      float* first = x + row * stride + head * head_dim;
      float* second = first + half;
      for (int64_t i = 0; i < half; ++i) {
        const float angle = static_cast<float>(positions[row]) * inv_freq[i];
        const double c = std::cos(static_cast<double>(angle)) * attention_factor;
        const double s = std::sin(static_cast<double>(angle)) * attention_factor;
        const double a = first[i], b = second[i];
        first[i] = static_cast<float>(a * c - b * s);
        second[i] = static_cast<float>(b * c + a * s);
      }
    }
}

void swiglu(const float* gate_up, int64_t rows, int64_t cols, float* h, base::ThreadPool&) {
  for (int64_t row = 0; row < rows; ++row, gate_up += 2 * cols, h += cols)
    for (int64_t i = 0; i < cols; ++i) {
      const double gate = gate_up[i], up = gate_up[cols + i];
      h[i] = static_cast<float>(gate / (1.0 + std::exp(-gate)) * up);
    }
}

}  // namespace aquatint::kernels::ref
