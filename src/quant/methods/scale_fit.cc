#include "quant/methods/scale_fit.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/bytes.h"

namespace aquatint::quant {
namespace {

constexpr int64_t kRows = 32;  // that one thread takes at a time

// One row's error as a function of its scales: sᵀ A s − 2 bᵀ s, but for a constant.
struct Parabola {
  size_t groups;
  std::span<const double> a, b;  // [groups][groups], [groups]

  double at(std::span<const double> s) const {
    double sum = 0;
    for (size_t g = 0; g < groups; ++g) {
      double row = -2 * b[g];
      for (size_t h = 0; h < groups; ++h) row += a[g * groups + h] * s[h];
      sum += row * s[g];
    }
    return sum;
  }

  // Where it is least, by Cholesky; empty when A is not positive definite (a group whose codes are all zero).
  std::vector<double> minimum() const {
    std::vector<double> lower(a.begin(), a.end()), x(b.begin(), b.end());
    for (size_t j = 0; j < groups; ++j) {
      for (size_t i = 0; i <= j; ++i) {
        double sum = lower[j * groups + i];
        for (size_t k = 0; k < i; ++k) sum -= lower[j * groups + k] * lower[i * groups + k];
        if (i == j && !(sum > 1e-12 * a[j * groups + j])) return {};
        lower[j * groups + i] = i == j ? std::sqrt(sum) : sum / lower[i * groups + i];
      }
      for (size_t k = 0; k < j; ++k) x[j] -= lower[j * groups + k] * x[k];
      x[j] /= lower[j * groups + j];
    }
    for (size_t j = groups; j-- > 0;) {
      for (size_t k = j + 1; k < groups; ++k) x[j] -= lower[k * groups + j] * x[k];
      x[j] /= lower[j * groups + j];
    }
    return x;
  }
};

double stored(double scale, const numeric::Format& format) {
  const float magnitude = std::clamp(static_cast<float>(std::fabs(scale)), format.smallest, format.max);
  const float rounded = format.decode(format.encode(magnitude));
  return double{scale < 0 ? -rounded : rounded};
}

void fit_row(const Parabola& error, const numeric::Format& format, std::span<float> scales) {
  std::vector<double> fitted = error.minimum();
  if (fitted.empty()) return;
  for (double& scale : fitted) scale = stored(scale, format);
  const std::vector<double> before(scales.begin(), scales.end());
  if (error.at(fitted) < error.at(before))
    std::transform(fitted.begin(), fitted.end(), scales.begin(),
                   [](double s) { return static_cast<float>(s); });
}

// code − zero-point of rows [first, first + rows): what a scale multiplies.
std::vector<float> steps_of(const tensor::QuantizedMatrix& m, int64_t group, std::span<const float> zeros,
                            int64_t first, int64_t rows) {
  std::vector<float> steps(static_cast<size_t>(rows * m.cols));
  for (int64_t i = 0; i < rows * m.cols; ++i) {
    const int64_t at = first * m.cols + i;
    const float zero = zeros.empty() ? 0.0f : zeros[static_cast<size_t>(at / group)];
    steps[static_cast<size_t>(i)] = m.format->decode(m.codes.u8()[at]) - zero;
  }
  return steps;
}

}  // namespace

void fit_scales(const tensor::QuantizedMatrix& matrix, std::span<const float> weights, int64_t group,
                const InputStatistics& inputs, std::span<const float> zeros, std::span<float> scales,
                base::ThreadPool& pool) {
  const int64_t cols = matrix.cols;
  const auto groups = static_cast<size_t>(cols / group);
  pool.parallel_for(base::ceil_div(matrix.rows, kRows), 1, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin * kRows; first < std::min(end * kRows, matrix.rows); first += kRows) {
      const int64_t rows = std::min(kRows, matrix.rows - first);
      const std::vector<float> steps = steps_of(matrix, group, zeros, first, rows);
      // Of each row: A[g][h] = q_g H_gh q_hᵀ, b[g] = q_g H wᵀ.
      std::vector<double> a(static_cast<size_t>(rows) * groups * groups),
          b(static_cast<size_t>(rows) * groups);
      std::vector<float> product(static_cast<size_t>(rows * cols));
      for (size_t g = 0; g < groups; ++g) {
        const int64_t from = static_cast<int64_t>(g) * group;
        std::fill(product.begin(), product.end(), 0.0f);
        inputs.kernels().add_product({steps.data() + from, cols, inputs.gram().data() + from * cols, cols,
                                      product.data(), cols, rows, cols, group});
        for (int64_t i = 0; i < rows * cols; ++i) {
          const size_t at = static_cast<size_t>(i / cols) * groups + g;
          const double p = product[static_cast<size_t>(i)];
          a[at * groups + static_cast<size_t>(i % cols / group)] += p * double{steps[static_cast<size_t>(i)]};
          b[at] += p * double{weights[static_cast<size_t>(first * cols + i)]};
        }
      }
      for (size_t row = 0; row < static_cast<size_t>(rows); ++row)
        fit_row({groups, std::span(a).subspan(row * groups * groups, groups * groups),
                 std::span(b).subspan(row * groups, groups)},
                *matrix.scales.format, scales.subspan((static_cast<size_t>(first) + row) * groups, groups));
    }
  });
}

}  // namespace aquatint::quant
