// LLM.int8's second product: magnitudes left out of a row's codes meet their columns of the weights as FP32. A row's
// products are one chain, columns ascending, added to its result at the end. Included inside an instruction set's
// namespace.

struct Outliers {
  struct One {
    int64_t column, slot;  // of `rows`
    float value;
  };
  std::vector<One> found;     // by column, then by row
  std::vector<int64_t> rows;  // that have any
};

inline Outliers find_outliers(const Packed& w, const float* x, int64_t rows) {
  Outliers outliers;
  for (int64_t row = 0; row < rows; ++row, x += w.in_features) {
    V most = zero();
    for (int64_t i = 0; i < w.in_features; i += 16)
      most = max(most, abs(load_n(x + i, std::min<int64_t>(16, w.in_features - i))));
    if (outlier_of(w.input, w.precision, largest(most)) == 0) continue;
    for (int64_t i = 0; i < w.in_features; ++i)
      if (const float value = outlier_of(w.input, w.precision, x[i]); value != 0)
        outliers.found.push_back({i, std::ssize(outliers.rows), value});
    outliers.rows.push_back(row);
  }
  std::stable_sort(outliers.found.begin(), outliers.found.end(),
                   [](const Outliers::One& a, const Outliers::One& b) { return a.column < b.column; });
  return outliers;
}

// sums[slot][16] of one strip.
inline void multiply_outliers(const Block& b, int64_t strip, const Outliers& outliers, float* sums) {
  constexpr int64_t kLongestRun = 32;
  alignas(64) float columns[kLongestRun * 16];
  const int64_t run = run_columns(b.form);
  int64_t begin = -1;
  std::fill_n(sums, std::ssize(outliers.rows) * 16, 0.0f);
  for (const Outliers::One& x : outliers.found) {
    if (x.column / run * run != begin) {
      begin = x.column / run * run;
      unpack_panel(b, b.strip(strip), begin, run, true, columns);
    }
    float* sum = sums + x.slot * 16;
    store(sum, fma(set(x.value), load(columns + (x.column - begin) * 16), load(sum)));
  }
}

inline void add_outliers(const Packed& w, const float* x, int64_t rows, float* y, int64_t y_row,
                         base::ThreadPool& pool) {
  if (w.input.outlier_threshold <= 0) return;
  const Outliers outliers = find_outliers(w, x, rows);
  if (outliers.found.empty()) return;
  pool.parallel_for(w.strips, 1, [&](int64_t begin, int64_t end) {
    static thread_local Scratch sum_scratch;
    float* sums = sum_scratch.get<float>(std::ssize(outliers.rows) * 16);
    for (const Block& b : w.blocks) {
      const StripRange range = strips_of(b, begin, end);
      for (int64_t strip = range.begin; strip < range.end; ++strip) {
        multiply_outliers(b, strip, outliers, sums);
        const int64_t column = b.first_row + strip * kStrip, n = std::min(kStrip, b.rows - strip * kStrip);
        for (size_t slot = 0; slot < outliers.rows.size(); ++slot) {
          float* to = y + outliers.rows[slot] * y_row + column;
          store_n(to, add(load_n(to, n), load(sums + slot * 16)), n);
        }
      }
    }
  });
}
