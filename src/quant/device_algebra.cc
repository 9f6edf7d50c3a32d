#include "quant/device_algebra.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"
#include "kernels/copy_rows.h"
#include "quant/cholesky_tile.h"

namespace aquatint::quant::device {
namespace {

using base::HugeVector;
using kernels::copy_rows;

constexpr int64_t kRows = 4096;  // that are copied at a time: as many as the kernels sum at once (add_cross)
constexpr int64_t kTile = kCholeskyTile;
constexpr int64_t kWide = 8 * kTile;  // columns of one product under a diagonal

// Rows [first, first + rows) of x, side by side, to the device.
void place(View<const float> x, int64_t first, int64_t rows, const kernels::Array<float>& to) {
  const float* from = x.values + first * x.stride;
  if (x.stride == x.cols) return to.write({from, static_cast<size_t>(rows * x.cols)});
  for (int64_t r = 0; r < rows; ++r)
    to.write({from + r * x.stride, static_cast<size_t>(x.cols)}, static_cast<size_t>(r * x.cols));
}

bool is_same(View<const float> a, View<const float> b) {
  return a.values == b.values && a.cols == b.cols && a.stride == b.stride;
}

// aᵀ · b over many tokens, on the device until it is whole.
class Sums {
 public:
  Sums(int64_t rows, int64_t cols, const model::Backend& backend)
      : cols_(cols),
        backend_(backend),
        values_(backend.memory(), static_cast<size_t>(rows * cols), "sums of products of inputs") {}

  // a and b lie on the device.
  void add(View<const float> a, View<const float> b) {
    backend_.kernels->add_cross({a.values, a.stride, a.cols, b.values, b.stride, b.cols, a.rows,
                                 values_.data(), cols_, is_same(a, b)},
                                *backend_.pool);
  }

  void add_to(View<float> out) const {
    HugeVector<float> found(values_.size());
    values_.read(found);
    backend_.pool->parallel_for(out.rows, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t j = 0; j < cols_; ++j)
          out.values[i * out.stride + j] += found[static_cast<size_t>(i * cols_ + j)];
    });
  }

 private:
  int64_t cols_;
  const model::Backend& backend_;
  kernels::Array<float> values_;
};

// A lower triangular matrix of doubles on the device, [n][n], and a tile of rows of it on the host.
//
// Left and right of a panel are where the work is: the panel of a step comes to the host, is factorized and
// goes back, and the device takes its products off everything behind it (as MAGMA shares the work, Tomov et
// al., 2010).
class Cholesky {
 public:
  Cholesky(int64_t n, const model::Backend& backend)
      : n_(n),
        backend_(backend),
        memory_(backend.memory()),
        values_(memory_, static_cast<size_t>(n * n), "a matrix to be factorized"),
        panel_(memory_, static_cast<size_t>(n * kTile), "a panel of it"),
        strip_(memory_, static_cast<size_t>(n * kTile), "a panel of it"),
        inverses_(static_cast<size_t>(tiles() * kTile * kTile)) {}

  // J A J, `added` on its diagonal.
  void fill(std::span<const float> a, double added) {
    constexpr int64_t kTogether = 512;
    HugeVector<double> rows(static_cast<size_t>(std::min(kTogether, n_) * n_));
    for (int64_t first = 0; first < n_; first += kTogether) {
      const int64_t count = std::min(kTogether, n_ - first);
      backend_.pool->parallel_for(count, 16, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          double* row = rows.data() + i * n_;
          const float* from = a.data() + (n_ - 1 - first - i) * n_;
          for (int64_t j = 0; j < n_; ++j) row[j] = double{from[n_ - 1 - j]};
          row[first + i] += added;
        }
      });
      values_.write({rows.data(), static_cast<size_t>(count * n_)}, static_cast<size_t>(first * n_));
    }
  }

  // False when A is not positive definite.
  bool factorize() {
    for (int64_t t = 0; t < tiles(); ++t) {
      const int64_t w = width(t), first = t * kTile, below = n_ - first - w;
      std::vector<double> panel(static_cast<size_t>((n_ - first) * w));
      copy_rows<double>(memory_, panel_.data(), w, at(first, first), n_, w, n_ - first);
      panel_.read(panel);
      if (!factorize_tile(panel.data(), w, w)) return false;
      invert_tile(panel.data(), w, w, inverse(t));
      if (below == 0) break;
      const std::vector<double> scaled = scaled_panel(t, panel.data() + w * w, below);
      panel_.write(scaled);
      copy_rows<double>(memory_, at(first + w, first), n_, panel_.data(), w, w, below);
      strip_.write(negated_transpose(scaled, below, w));
      update_behind(first + w, w);
    }
    return true;
  }

  // J L⁻¹ J: X_i = L_ii⁻¹ (I_i − Σ L_ij X_j), a tile of rows after the other.
  HugeVector<float> reversed_inverse() {
    kernels::Array<double> x(memory_, static_cast<size_t>(n_ * n_), "the inverse of a matrix"),
        zeros(memory_, static_cast<size_t>(n_ * kTile), "zeros"),
        diagonal(memory_, static_cast<size_t>(kTile * kTile), "a tile of a matrix");
    for (int64_t t = 0; t < tiles(); ++t) {
      const int64_t w = width(t), first = t * kTile;
      if (t > 0) {
        scale_rows(t, diagonal, zeros);
        for (int64_t c = 0; c < first; c += kWide)  // X is zero above its diagonal
          backend_.kernels->add_product_fp64({at(first, c), n_, x.data() + c * n_ + c, n_,
                                              x.data() + first * n_ + c, n_, w, std::min(kWide, first - c),
                                              first - c});
      }
      diagonal.write({inverse(t), static_cast<size_t>(kTile * kTile)});
      copy_rows<double>(memory_, x.data() + first * n_ + first, n_, diagonal.data(), kTile, w, w);
    }
    return reversed(x);
  }

 private:
  int64_t tiles() const { return base::ceil_div(n_, kTile); }
  int64_t width(int64_t tile) const { return std::min(kTile, n_ - tile * kTile); }
  double* at(int64_t row, int64_t col) const { return values_.data() + row * n_ + col; }
  double* inverse(int64_t tile) { return inverses_.data() + tile * kTile * kTile; }

  // The rows below the diagonal tile: L_it = A_it · L_tt⁻ᵀ.
  std::vector<double> scaled_panel(int64_t t, const double* rows, int64_t count) {
    const int64_t w = width(t);
    const std::vector<double> transposed = transposed_tile(inverse(t), w);
    std::vector<double> scaled(static_cast<size_t>(count * w));
    backend_.pool->parallel_for(base::ceil_div(count, kTile), 1, [&](int64_t begin, int64_t end) {
      const int64_t first = begin * kTile, some = std::min(count, end * kTile) - first;
      backend_.host_kernels().add_product_fp64(
          {rows + first * w, w, transposed.data(), kTile, scaled.data() + first * w, w, some, w, w});
    });
    return scaled;
  }

  std::vector<double> negated_transpose(const std::vector<double>& m, int64_t rows, int64_t cols) const {
    std::vector<double> t(m.size());
    backend_.pool->parallel_for(rows, kTile, [&](int64_t begin, int64_t end) {
      for (int64_t c = 0; c < cols; ++c)
        for (int64_t r = begin; r < end; ++r)
          t[static_cast<size_t>(c * rows + r)] = -m[static_cast<size_t>(r * cols + c)];
    });
    return t;
  }

  // A_ij −= L_it · L_jtᵀ for rows and columns from `first` on, what is above the diagonal in part.
  void update_behind(int64_t first, int64_t depth) const {
    const int64_t behind = n_ - first;
    for (int64_t c = 0; c < behind; c += kWide)
      backend_.kernels->add_product_fp64({panel_.data() + c * depth, depth, strip_.data() + c, behind,
                                          at(first + c, first + c), n_, behind - c,
                                          std::min(kWide, behind - c), depth});
  }

  // L's rows of the tile, left of its diagonal, become −L_ii⁻¹ times themselves.
  void scale_rows(int64_t t, const kernels::Array<double>& diagonal, const kernels::Array<double>& zeros) {
    const int64_t w = width(t), first = t * kTile;
    std::vector<double> negated(inverse(t), inverse(t) + kTile * kTile);
    for (double& value : negated) value = -value;
    diagonal.write(negated);
    copy_rows<double>(memory_, panel_.data(), first, at(first, 0), n_, first, w);
    copy_rows<double>(memory_, at(first, 0), n_, zeros.data(), first, first, w);
    backend_.kernels->add_product_fp64(
        {diagonal.data(), kTile, panel_.data(), first, at(first, 0), n_, w, first, w});
  }

  // upper[n − 1 − i][n − 1 − j] = x[i][j].
  HugeVector<float> reversed(const kernels::Array<double>& x) const {
    constexpr int64_t kTogether = 512;
    HugeVector<float> upper(static_cast<size_t>(n_ * n_));
    HugeVector<double> rows(static_cast<size_t>(std::min(kTogether, n_) * n_));
    for (int64_t first = 0; first < n_; first += kTogether) {
      const int64_t count = std::min(kTogether, n_ - first);
      x.read({rows.data(), static_cast<size_t>(count * n_)}, static_cast<size_t>(first * n_));
      backend_.pool->parallel_for(count, 16, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          float* to = upper.data() + (n_ - 1 - first - i) * n_;
          for (int64_t j = 0; j <= first + i; ++j)
            to[n_ - 1 - j] = static_cast<float>(rows[static_cast<size_t>(i * n_ + j)]);
        }
      });
    }
    return upper;
  }

  int64_t n_;
  const model::Backend& backend_;
  const kernels::Memory& memory_;
  kernels::Array<double> values_, panel_, strip_;
  std::vector<double> inverses_;  // [tiles][kTile][kTile]
};

}  // namespace

void add_placed_cross(View<const float> a, View<const float> b, View<float> out,
                      const model::Backend& backend) {
  Sums sums(out.rows, out.cols, backend);
  sums.add(a, b);
  sums.add_to(out);
}

void add_cross(View<const float> a, View<const float> b, View<float> out, const model::Backend& backend) {
  const bool same = is_same(a, b);
  const int64_t most = std::min(kRows, a.rows);
  const auto room = [&](int64_t rows, int64_t cols) {
    return kernels::Array<float>(backend.memory(), static_cast<size_t>(rows * cols), "tokens of calibration");
  };
  const auto left = room(most, a.cols), right = room(same ? 0 : most, b.cols);
  Sums sums(out.rows, out.cols, backend);
  for (int64_t first = 0; first < a.rows; first += kRows) {
    const int64_t rows = std::min(kRows, a.rows - first);
    place(a, first, rows, left);
    if (!same) place(b, first, rows, right);
    sums.add({left.data(), rows, a.cols, a.cols}, {same ? left.data() : right.data(), rows, b.cols, b.cols});
  }
  sums.add_to(out);
}

std::optional<HugeVector<float>> inverse_cholesky(std::span<const float> a, int64_t n, double added,
                                                  const model::Backend& backend) {
  Cholesky cholesky(n, backend);
  cholesky.fill(a, added);
  if (!cholesky.factorize()) return std::nullopt;
  return cholesky.reversed_inverse();
}

double quadratic_form(std::span<const float> w, std::span<const float> h, int64_t n,
                      const model::Backend& backend) {
  const int64_t rows = static_cast<int64_t>(w.size()) / n;
  const kernels::Array<float> matrix(backend.memory(), h, "a Gram matrix");
  double total = 0;
  for (int64_t first = 0; first < rows; first += kRows) {
    const int64_t count = std::min(kRows, rows - first);
    const std::span<const float> some =
        w.subspan(static_cast<size_t>(first * n), static_cast<size_t>(count * n));
    const kernels::Array<float> left(backend.memory(), some, "rows of a weight"),
        products(backend.memory(), some.size(), "products of a weight");
    backend.kernels->add_product({left.data(), n, matrix.data(), n, products.data(), n, count, n, n});
    HugeVector<float> found(some.size());
    products.read(found);
    std::vector<double> sums(static_cast<size_t>(count));
    backend.pool->parallel_for(count, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * n; i < end * n; ++i)
        sums[static_cast<size_t>(i / n)] +=
            double{some[static_cast<size_t>(i)]} * double{found[static_cast<size_t>(i)]};
    });
    for (const double sum : sums) total += sum;
  }
  return total;
}

}  // namespace aquatint::quant::device
