// Operations on rows of activations.
#include <cmath>
#include <vector>

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

void rms_norm_runs(float* x, const float* weight, float eps, int64_t rows, int64_t stride, int64_t runs,
                   int64_t width, base::ThreadPool& pool) {
  for (int64_t row = 0; row < rows; ++row)
    rms_norm(x + row * stride, weight, eps, runs, width, x + row * stride, pool);
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

namespace {

// Unnormalised; columns i and i + half change together.
void walsh_hadamard(double* x, int64_t n) {
  for (int64_t half = 1; half < n; half *= 2)
    for (int64_t i = 0; i < n; ++i)
      if ((i & half) == 0) {
        const double a = x[i], b = x[i + half];
        x[i] = a + b;
        x[i + half] = a - b;
      }
}

void mix(const tensor::Rotation& r, bool inverse, std::vector<double>& x) {
  const std::vector<float>& m = r.mix(inverse);
  if (m.empty()) return;
  const std::vector<double> from = x;
  for (int64_t column = 0; column < r.run(); ++column)
    for (int64_t i = 0; i < r.order(); ++i) {
      double sum = 0;
      for (int64_t j = 0; j < r.order(); ++j)
        sum += m[static_cast<size_t>(i * r.order() + j)] * from[static_cast<size_t>(j * r.run() + column)];
      x[static_cast<size_t>(i * r.run() + column)] = sum;
    }
}

}  // namespace

void rotate_runs(const tensor::Rotation& r, bool inverse, float* x, int64_t rows, int64_t stride,
                 int64_t runs, base::ThreadPool&) {
  const auto width = static_cast<size_t>(r.width());
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t run = 0; run < runs; ++run) {
      float* values = x + row * stride + run * r.width();
      std::vector<double> y(values, values + width);
      for (size_t i = 0; i < width && !inverse; ++i) y[i] *= r.signs()[i];
      if (inverse) mix(r, inverse, y);
      for (int64_t i = 0; i < r.order(); ++i) walsh_hadamard(y.data() + i * r.run(), r.run());
      if (!inverse) mix(r, inverse, y);
      for (size_t i = 0; i < width; ++i)
        values[i] = static_cast<float>(y[i] * r.scale() * (inverse ? r.signs()[i] : 1.0f));
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
