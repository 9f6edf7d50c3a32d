// Statistics of next-token distributions in FP64; included inside an instruction set's namespace.

struct Top {
  float value;
  int64_t index;
};

// The largest element, the first one on ties. Maxima of blocks first, then a search in the winning block.
inline Top find_top(const float* x, int64_t n) {
  constexpr int64_t kBlock = 1024;
  float best = -std::numeric_limits<float>::infinity();
  int64_t where = 0;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, n);
    V most = set(x[begin]);
    int64_t i = begin;
    for (; i + 16 <= end; i += 16) most = max(most, load(x + i));
    float block = largest(most);
    for (; i < end; ++i) block = std::max(block, x[i]);
    if (block > best) best = block, where = begin;
  }
  for (int64_t i = where; i < n; ++i)
    if (x[i] == best) return {best, i};
  return {x[0], 0};
}

inline LogitStats row_stats(const float* x, int64_t n) {
  const Top top = find_top(x, n);
  const D shift = set_d(static_cast<double>(top.value));
  D total[2] = {set_d(0), set_d(0)};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const V v = load(x + i);
    total[0] = add(total[0], exp(sub(low(v), shift)));
    total[1] = add(total[1], exp(sub(high(v), shift)));
  }
  double sum_exp = sum(add(total[0], total[1]));
  for (; i < n; ++i) sum_exp += std::exp(static_cast<double>(x[i]) - top.value);
  return {top.value + std::log(sum_exp), static_cast<int32_t>(top.index)};
}

// Σ p · (a − b), p = exp(a − log_sum_exp).
inline double mean_difference(const float* a, const float* b, double log_sum_exp, int64_t n) {
  const D shift = set_d(log_sum_exp);
  D total[2] = {set_d(0), set_d(0)};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const V va = load(a + i), vb = load(b + i);
    total[0] = fma(exp(sub(low(va), shift)), sub(low(va), low(vb)), total[0]);
    total[1] = fma(exp(sub(high(va), shift)), sub(high(va), high(vb)), total[1]);
  }
  double mean = sum(add(total[0], total[1]));
  for (; i < n; ++i) mean += std::exp(a[i] - log_sum_exp) * (static_cast<double>(a[i]) - b[i]);
  return mean;
}

inline void logit_stats(const float* logits, int64_t rows, int64_t cols, LogitStats* out,
                        base::ThreadPool& pool) {
  pool.parallel_for(rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) out[row] = row_stats(logits + row * cols, cols);
  });
}

inline void divergence(const float* reference, const float* model, int64_t rows, int64_t cols,
                       Divergence* out, base::ThreadPool& pool) {
  pool.parallel_for(rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* a = reference + row * cols;
      const float* b = model + row * cols;
      Divergence& d = out[row];
      d.reference = row_stats(a, cols);
      d.model = row_stats(b, cols);
      const double shift = d.reference.log_sum_exp - d.model.log_sum_exp;
      d.kl = mean_difference(a, b, d.reference.log_sum_exp, cols) - shift;
    }
  });
}
