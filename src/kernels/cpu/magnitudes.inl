// Statistics of columns; included inside an instruction set's namespace.

// Of a vector's columns over up to kMagnitudeRows rows.
struct ColumnSums {
  V sum, square, largest;
};

// Adds the first n columns' sums to what is known of them.
inline void add_sums(const ColumnSums& of, int64_t n, const Magnitudes& to, int64_t col) {
  float sum[16], square[16], largest[16];
  store(sum, of.sum), store(square, of.square), store(largest, of.largest);
  for (int64_t i = 0; i < n; ++i) {
    to.sums[col + i] += static_cast<double>(sum[i]);
    to.squares[col + i] += static_cast<double>(square[i]);
    to.largest[col + i] = std::max(to.largest[col + i], largest[i]);
  }
}

// kVectors times sixteen columns side by side: whole lines of the cache.
template <int kVectors>
void add_column_magnitudes(const float* x, int64_t rows, int64_t stride, int64_t cols, const Magnitudes& to, int64_t col) {
  for (int64_t first = 0; first < rows; first += kMagnitudeRows) {
    ColumnSums sums[kVectors];
    for (ColumnSums& of : sums) of = {zero(), zero(), zero()};
    for (int64_t row = first; row < std::min(rows, first + kMagnitudeRows); ++row)
      for (int i = 0; i < kVectors; ++i) {
        const V magnitude = abs(load_some(x + row * stride + col + 16 * i, std::min<int64_t>(16, cols - 16 * i)));
        sums[i].sum = add(sums[i].sum, magnitude);
        sums[i].square = add(sums[i].square, mul(magnitude, magnitude));
        sums[i].largest = max(magnitude, sums[i].largest);
      }
    for (int i = 0; i < kVectors; ++i) add_sums(sums[i], std::min<int64_t>(16, cols - 16 * i), to, col + 16 * i);
  }
}

inline void add_magnitudes(const float* x, int64_t rows, int64_t cols, const Magnitudes& to, base::ThreadPool& pool) {
  constexpr int64_t kColumns = 64;
  pool.parallel_for((cols + kColumns - 1) / kColumns, 1, [&](int64_t begin, int64_t end) {
    int64_t col = begin * kColumns;
    const int64_t last = std::min(cols, end * kColumns);
    for (; col + kColumns <= last; col += kColumns) add_column_magnitudes<4>(x, rows, cols, kColumns, to, col);
    for (; col < last; col += 16) add_column_magnitudes<1>(x, rows, cols, last - col, to, col);
  });
}
