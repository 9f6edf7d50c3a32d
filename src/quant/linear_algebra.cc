#include "quant/linear_algebra.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "base/bytes.h"
#include "base/error.h"
#include "model/dense.h"
#include "quant/cholesky_tile.h"
#include "quant/device_algebra.h"

namespace aquatint::quant {
namespace {

constexpr int64_t kPanel = 48;
constexpr int64_t kCrossTile = 96;
constexpr int64_t kCrossDepth = 512;  // rows at a time: what a tile reads stays in L2, sums in registers
constexpr int64_t kLine = 16;         // floats of a cache line
constexpr int64_t kTile = kCholeskyTile, kStrip = 24;                  // of a factorization
constexpr int64_t kFormRows = 512, kFormCols = 192, kFormDepth = 256;  // what is packed of h stays in L2

// body(i) for i in [0, count), each by whichever thread is free: tasks differ in size and know nothing of
// each other.
template <class Body>
void for_tasks(int64_t count, base::ThreadPool& pool, Body body) {
  std::atomic<int64_t> next{0};
  pool.run([&](int) {
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) body(i);
  });
}

// The pair (row, column) of the i-th tile of a lower triangle, row by row.
std::pair<int64_t, int64_t> triangle_tile(int64_t i) {
  int64_t row = 0;
  while (i > row) i -= ++row;
  return {row, i};
}

constexpr int64_t triangle(int64_t n) { return n * (n + 1) / 2; }

// Up to a line of columns of x [depth][stride cols] as rows of kCrossDepth.
void transpose_line(const float* x, int64_t cols, int64_t depth, int64_t count, float* out) {
  count = std::min(count, kLine);
  for (int64_t row = 0; row < depth; ++row)
    for (int64_t c = 0; c < count; ++c) out[c * kCrossDepth + row] = x[row * cols + c];
}

// L with L Lᵀ = A in FP64: the lower triangle of A, and the inverses of L's diagonal tiles.
class Cholesky {
 public:
  Cholesky(int64_t n, const model::Backend& backend)
      : n_(n),
        stride_((base::ceil_div(n, kDoubles) | 1) * kDoubles),
        values_(static_cast<size_t>(n * stride_)),
        backend_(backend),
        inverses_(static_cast<size_t>(tiles() * kTile * kTile)) {}

  double* row(int64_t i) { return at(i, 0); }  // of A, then of L

  // False when A is not positive definite.
  bool factorize() {
    for (int64_t t = 0; t < tiles(); ++t) {
      double* diagonal = at(t * kTile, t * kTile);
      if (!factorize_tile(diagonal, stride_, width(t))) return false;
      invert_tile(diagonal, stride_, width(t), inverse(t));
      scale_panel(t);
      update_behind(t);
    }
    return true;
  }

  // J L⁻¹ J, a panel of L⁻¹'s columns at a time.
  base::HugeVector<float> reversed_inverse() const {
    base::HugeVector<float> upper(static_cast<size_t>(n_ * n_));
    for_tasks(tiles(), *backend_.pool, [&](int64_t panel) {
      const base::HugeVector<double> x = inverse_panel(panel);
      const int64_t first = panel * kTile;
      for (int64_t i = first; i < n_; ++i)
        for (int64_t j = first; j <= std::min(i, first + width(panel) - 1); ++j)
          upper[static_cast<size_t>((n_ - 1 - i) * n_ + n_ - 1 - j)] =
              static_cast<float>(x[static_cast<size_t>((i - first) * kTile + j - first)]);
    });
    return upper;
  }

 private:
  int64_t tiles() const { return base::ceil_div(n_, kTile); }
  int64_t width(int64_t tile) const { return std::min(kTile, n_ - tile * kTile); }
  double* at(int64_t row, int64_t col) { return values_.data() + row * stride_ + col; }
  const double* at(int64_t row, int64_t col) const { return values_.data() + row * stride_ + col; }
  double* inverse(int64_t tile) { return inverses_.data() + tile * kTile * kTile; }
  const double* inverse(int64_t tile) const { return inverses_.data() + tile * kTile * kTile; }

  // The tiles below the diagonal one: L_it = A_it · L_tt⁻ᵀ.
  void scale_panel(int64_t t) {
    const int64_t w = width(t);
    const std::vector<double> transposed = transposed_tile(inverse(t), w);
    for_tasks(tiles() - t - 1, *backend_.pool, [&](int64_t task) {
      const int64_t i = t + 1 + task;
      std::vector<double> product(static_cast<size_t>(width(i) * w));
      backend_.host_kernels().add_product_fp64(
          {at(i * kTile, t * kTile), stride_, transposed.data(), kTile, product.data(), w, width(i), w, w});
      for (int64_t row = 0; row < width(i); ++row)
        std::copy_n(product.data() + row * w, w, at(i * kTile + row, t * kTile));
    });
  }

  // A_ij −= L_it · L_jtᵀ for t < j ≤ i.
  void update_behind(int64_t t) {
    const int64_t w = width(t), first = (t + 1) * kTile, behind = n_ - first;
    if (behind <= 0) return;
    const int64_t strips = base::ceil_div(behind, kStrip);
    base::HugeVector<double> strip(static_cast<size_t>(strips * w * kStrip));  // −L_jtᵀ, [strips][w][kStrip]
    for_tasks(strips, *backend_.pool, [&](int64_t s) {
      for (int64_t c = 0; c < std::min(kStrip, behind - s * kStrip); ++c)
        for (int64_t k = 0; k < w; ++k)
          strip[static_cast<size_t>((s * w + k) * kStrip + c)] = -at(first + s * kStrip + c, t * kTile)[k];
    });
    for_tasks(triangle(tiles() - t - 1), *backend_.pool, [&](int64_t task) {
      const auto [i, j] = triangle_tile(task);
      const int64_t row = first + i * kTile, end = j * kTile + width(t + 1 + j);
      for (int64_t col = j * kTile; col < end; col += kStrip)
        backend_.host_kernels().add_product_fp64({at(row, t * kTile), stride_, strip.data() + col * w, kStrip,
                                                  at(row, first + col), stride_, width(t + 1 + i),
                                                  std::min(kStrip, end - col), w});
    });
  }

  // Columns of L⁻¹ from the panel's first row on, [rows][kTile]: X_i = L_ii⁻¹ (I_i − Σ L_ij X_j).
  base::HugeVector<double> inverse_panel(int64_t panel) const {
    const int64_t first = panel * kTile, w = width(panel);
    base::HugeVector<double> x(static_cast<size_t>((n_ - first) * kTile)),
        rest(static_cast<size_t>(kTile * kTile));
    for (int64_t i = panel; i < tiles(); ++i) {
      const int64_t row = i * kTile - first;
      std::fill(rest.begin(), rest.end(), 0.0);
      if (i == panel)
        for (int64_t d = 0; d < w; ++d) rest[static_cast<size_t>(d * kTile + d)] = -1;
      else
        backend_.host_kernels().add_product_fp64(
            {at(i * kTile, first), stride_, x.data(), kTile, rest.data(), kTile, width(i), w, row});
      for (double& value : rest) value = -value;
      backend_.host_kernels().add_product_fp64(
          {inverse(i), kTile, rest.data(), kTile, x.data() + row * kTile, kTile, width(i), w, width(i)});
    }
    return x;
  }

  static constexpr int64_t kDoubles = 8;  // of a cache line

  int64_t n_;
  int64_t stride_;  // an odd number of cache lines: eight rows at once do not fight for the same places
  base::HugeVector<double> values_;
  const model::Backend& backend_;
  std::vector<double> inverses_;  // [tiles][kTile][kTile]
};

// Up to a panel of columns of x [depth][stride cols], side by side: rows of x lie a multiple of many cache
// lines apart and would fight for the same places.
void copy_panel(const float* x, int64_t cols, int64_t depth, int64_t count, float* out) {
  count = std::min(count, kPanel);
  for (int64_t row = 0; row < depth; ++row) std::copy_n(x + row * cols, count, out + row * kPanel);
}

// kCrossDepth rows of a matrix as a factor of aᵀ · b, in pieces of `width` columns that `copy` makes.
class CrossFactor {
 public:
  CrossFactor(View<const float> x, int64_t width,
              void (*copy)(const float*, int64_t, int64_t, int64_t, float*))
      : x_(x),
        width_(width),
        copy_(copy),
        values_(static_cast<size_t>(base::round_up(x.cols, width) * kCrossDepth)) {}

  // Rows [first, first + rows) of x.
  void fill(int64_t first, int64_t rows, base::ThreadPool& pool) {
    pool.parallel_for(base::ceil_div(x_.cols, width_), 1, [&](int64_t begin, int64_t end) {
      for (int64_t col = begin * width_; col < end * width_; col += width_)
        copy_(x_.values + first * x_.stride + col, x_.stride, rows, x_.cols - col, at(col));
    });
  }
  float* at(int64_t col) { return values_.data() + col * kCrossDepth; }

 private:
  View<const float> x_;
  int64_t width_;
  void (*copy_)(const float*, int64_t, int64_t, int64_t, float*);
  base::HugeVector<float> values_;
};

// Above the diagonal what is below it, in squares whose lines stay in L1.
void mirror_lower(std::span<float> a, int64_t n, base::ThreadPool& pool) {
  for_tasks(triangle(base::ceil_div(n, kPanel)), pool, [&](int64_t task) {
    const auto [i, j] = triangle_tile(task);
    for (int64_t row = j * kPanel; row < std::min(n, (j + 1) * kPanel); ++row)
      for (int64_t col = std::max(row + 1, i * kPanel); col < std::min(n, (i + 1) * kPanel); ++col)
        a[static_cast<size_t>(row * n + col)] = a[static_cast<size_t>(col * n + row)];
  });
}

// tr(w · h · wᵀ), cut into rows of w and columns of h. Below the diagonal h is what it is above: these
// products count twice.
class QuadraticForm {
 public:
  QuadraticForm(std::span<const float> w, std::span<const float> h, int64_t n, const model::Backend& backend)
      : w_(w.data()), h_(h.data()), n_(n), rows_(static_cast<int64_t>(w.size()) / n), backend_(backend) {}

  int64_t tasks() const { return base::ceil_div(rows_, kFormRows) * base::ceil_div(n_, kFormCols); }

  double task(int64_t i) const {
    const int64_t across = base::ceil_div(n_, kFormCols);
    const int64_t row = i / across * kFormRows, col = i % across * kFormCols;
    const int64_t rows = std::min(kFormRows, rows_ - row), cols = std::min(kFormCols, n_ - col);
    std::vector<float> product(static_cast<size_t>(rows * cols));
    for (int64_t k = col + cols; k < n_; k += kFormDepth)
      add(row, rows, k, std::min(kFormDepth, n_ - k), col, cols, product.data());
    for (float& value : product) value *= 2;
    add(row, rows, col, cols, col, cols, product.data());
    double sum = 0;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c)
        sum += double{w_[(row + r) * n_ + col + c]} * double{product[static_cast<size_t>(r * cols + c)]};
    return sum;
  }

 private:
  // product [rows][cols] += w's rows at [k, k + depth) · h [k, k + depth)[col, col + cols)
  void add(int64_t row, int64_t rows, int64_t k, int64_t depth, int64_t col, int64_t cols,
           float* product) const {
    for (int64_t c = 0; c < cols; c += kPanel) {
      float panel[kFormDepth * kPanel];
      copy_panel(h_ + k * n_ + col + c, n_, depth, cols - c, panel);
      backend_.host_kernels().add_product(
          {w_ + row * n_ + k, n_, panel, kPanel, product + c, cols, rows, std::min(kPanel, cols - c), depth});
    }
  }

  const float* w_;
  const float* h_;
  int64_t n_, rows_;
  const model::Backend& backend_;
};

}  // namespace

void add_gram(std::span<const float> x, int64_t cols, std::span<float> gram, const model::Backend& backend) {
  AQ_CHECK(static_cast<int64_t>(gram.size()) == cols * cols, "{} values for {} columns", gram.size(), cols);
  const int64_t rows = static_cast<int64_t>(x.size()) / cols;
  if (backend.memory().is_host())
    backend.kernels->add_cross({x.data(), cols, cols, x.data(), cols, cols, rows, gram.data(), cols, true},
                               *backend.pool);
  else
    device::add_cross({x.data(), rows, cols, cols}, {x.data(), rows, cols, cols},
                      {gram.data(), cols, cols, cols}, backend);
  mirror_lower(gram, cols, *backend.pool);
}

void add_placed_gram(const float* x, int64_t rows, int64_t cols, std::span<float> gram,
                     const model::Backend& backend) {
  device::add_placed_cross({x, rows, cols, cols}, {x, rows, cols, cols}, {gram.data(), cols, cols, cols},
                           backend);
  mirror_lower(gram, cols, *backend.pool);
}

void add_cross(View<const float> a, View<const float> b, View<float> out, const model::Backend& backend) {
  AQ_CHECK(a.rows == b.rows && out.rows == a.cols && out.cols == b.cols, "{} and {} rows", a.rows, b.rows);
  if (!backend.memory().is_host()) return device::add_cross(a, b, out, backend);
  backend.kernels->add_cross(
      {a.values, a.stride, a.cols, b.values, b.stride, b.cols, a.rows, out.values, out.stride},
      *backend.pool);
}

void add_cross_fp32(View<const float> a, View<const float> b, View<float> out,
                    const model::Backend& backend) {
  AQ_CHECK(a.rows == b.rows && out.rows == a.cols && out.cols == b.cols, "{} and {} rows", a.rows, b.rows);
  CrossFactor left(a, kLine, transpose_line), right(b, kPanel, copy_panel);
  const int64_t across = base::ceil_div(b.cols, kCrossTile);
  for (int64_t first = 0; first < a.rows; first += kCrossDepth) {
    const int64_t count = std::min(kCrossDepth, a.rows - first);
    left.fill(first, count, *backend.pool);
    right.fill(first, count, *backend.pool);
    for_tasks(base::ceil_div(a.cols, kCrossTile) * across, *backend.pool, [&](int64_t task) {
      const int64_t row = task / across * kCrossTile, height = std::min(kCrossTile, a.cols - row);
      const int64_t begin = task % across * kCrossTile, end = std::min(b.cols, begin + kCrossTile);
      for (int64_t col = begin; col < end; col += kPanel)
        backend.host_kernels().add_product({left.at(row), kCrossDepth, right.at(col), kPanel,
                                            out.values + row * out.stride + col, out.stride, height,
                                            std::min(kPanel, b.cols - col), count});
    });
  }
}

std::vector<float> product(std::span<const float> a, int64_t rows, std::span<const float> b, int64_t n,
                           const model::Backend& backend) {
  std::vector<float> out(static_cast<size_t>(rows * n));
  model::add_product(a.data(), b.data(), out.data(), rows, n, n, backend);
  return out;
}

std::optional<base::HugeVector<float>> inverse_cholesky(std::span<const float> a, int64_t n, double added,
                                                        const model::Backend& backend) {
  AQ_CHECK(static_cast<int64_t>(a.size()) == n * n, "{} values for {} rows", a.size(), n);
  if (!backend.memory().is_host()) return device::inverse_cholesky(a, n, added, backend);
  Cholesky cholesky(n, backend);
  backend.pool->parallel_for(n, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j <= i; ++j)
        cholesky.row(i)[j] = double{a[static_cast<size_t>((n - 1 - i) * n + n - 1 - j)]};
      cholesky.row(i)[i] += added;
    }
  });
  if (!cholesky.factorize()) return std::nullopt;
  return cholesky.reversed_inverse();
}

double quadratic_form(std::span<const float> w, std::span<const float> h, int64_t n,
                      const model::Backend& backend) {
  if (!backend.memory().is_host()) return device::quadratic_form(w, h, n, backend);
  const QuadraticForm form(w, h, n, backend);
  std::vector<double> sums(static_cast<size_t>(form.tasks()));
  for_tasks(form.tasks(), *backend.pool, [&](int64_t i) { sums[static_cast<size_t>(i)] = form.task(i); });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace aquatint::quant
