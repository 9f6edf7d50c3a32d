#include "quant/low_rank.h"

#include <Eigen/Dense>
#include <algorithm>

#include "base/error.h"
#include "base/rng.h"
#include "model/dense.h"

namespace aquatint::quant {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Exact = Eigen::MatrixXd;

constexpr int64_t kOversampling = 8;  // directions beside those asked for: they make the others settle sooner
constexpr int kMostSteps = 60;
constexpr double kSettled = 1e-5;  // relative change of what is kept, after which it is found

Matrix product(const Matrix& a, const Matrix& b, const model::Backend& backend) {
  Matrix c = Matrix::Zero(a.rows(), b.cols());
  model::add_product(a.data(), b.data(), c.data(), a.rows(), b.cols(), a.cols(), backend);
  return c;
}

Matrix matrix_of(std::span<const float> values, int64_t cols) {
  return Eigen::Map<const Matrix>(values.data(), static_cast<int64_t>(values.size()) / cols, cols);
}

Exact random_matrix(int64_t rows, int64_t cols) {
  base::Rng rng(1);
  Exact values(rows, cols);
  for (int64_t i = 0; i < values.size(); ++i) values.data()[i] = rng.normal();
  return values;
}

// Orthonormal columns that span those of y.
Exact orthonormal(const Exact& y) {
  return Eigen::HouseholderQR<Exact>(y).householderQ() * Exact::Identity(y.rows(), y.cols());
}

}  // namespace

// Orthogonal iteration with Rayleigh and Ritz's rotation (Golub and Van Loan, Matrix Computations, 8.2.4) on
// E H Eᵀ, which is never formed. The spectrum of rounding errors is flat: what counts is how much is kept,
// which settles long before the directions do.
std::vector<float> leading_directions(std::span<const float> e, int64_t rows, std::span<const float> h,
                                      int64_t rank, const model::Backend& backend) {
  const int64_t cols = static_cast<int64_t>(e.size()) / rows;
  AQ_CHECK(0 < rank && rank <= std::min(rows, cols), "rank {} of {} x {}", rank, rows, cols);
  const Matrix error = matrix_of(e, cols), transposed = error.transpose();
  const Matrix gram = h.empty() ? Matrix() : matrix_of(h, cols);
  Exact basis = orthonormal(random_matrix(rows, std::min(rows, rank + std::max(rank, kOversampling))));
  double kept = 0;
  for (int step = 0; step < kMostSteps; ++step) {
    Matrix z = product(transposed, basis.cast<float>(), backend);
    if (!h.empty()) z = product(gram, z, backend);
    const Exact image = product(error, z, backend).cast<double>();
    const Exact projected = basis.transpose() * image;
    const Eigen::SelfAdjointEigenSolver<Exact> ritz((projected + projected.transpose()) / 2);
    const double now = ritz.eigenvalues().tail(rank).sum();  // ascending
    const bool settled = now - kept <= kSettled * now;
    basis = settled ? Exact(basis * ritz.eigenvectors()) : orthonormal(image * ritz.eigenvectors());
    if (settled) break;
    kept = now;
  }
  const Matrix leading = basis.rightCols(rank).rowwise().reverse().cast<float>();
  return {leading.data(), leading.data() + leading.size()};
}

std::vector<float> fitted_right(std::span<const float> e, std::span<const float> left, int64_t rank,
                                const model::Backend& backend) {
  const Matrix l = matrix_of(left, rank), transposed = l.transpose();
  const Matrix error = matrix_of(e, static_cast<int64_t>(e.size()) / l.rows());
  const Exact exact = l.cast<double>();
  const Exact fitted = Exact(exact.transpose() * exact)
                           .ldlt()
                           .solve(product(transposed, error, backend).cast<double>().eval());
  const Matrix right = fitted.cast<float>();
  return {right.data(), right.data() + right.size()};
}

}  // namespace aquatint::quant
