// Operations on rows of activations; included inside an instruction set's namespace.

// body(i, n) for pieces of at most 16 elements of [0, count).
template <class Body>
AQ_INLINE void by_vector(int64_t count, Body body) {
  for (int64_t i = 0; i < count; i += 16) body(i, std::min<int64_t>(16, count - i));
}
AQ_INLINE V load_some(const float* p, int64_t n) { return n == 16 ? load(p) : load_n(p, n); }
AQ_INLINE void store_some(float* p, V x, int64_t n) { n == 16 ? store(p, x) : store_n(p, x, n); }

inline void norm_row(const float* from, const float* weight, float eps, int64_t cols, float* to) {
  V squares = zero();
  by_vector(cols, [&](int64_t i, int64_t n) {
    const V v = load_some(from + i, n);
    squares = fma(v, v, squares);
  });
  const V factor = set(static_cast<float>(1.0 / std::sqrt(sum(squares) / static_cast<double>(cols) + eps)));
  by_vector(cols, [&](int64_t i, int64_t n) {
    store_some(to + i, mul(mul(load_some(from + i, n), factor), load_some(weight + i, n)), n);
  });
}

inline void rms_norm(const float* x, const float* weight, float eps, int64_t rows, int64_t cols, float* y,
                     base::ThreadPool& pool) {
  pool.parallel_for(rows, 4, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) norm_row(x + row * cols, weight, eps, cols, y + row * cols);
  });
}

inline void rms_norm_runs(float* x, const float* weight, float eps, int64_t rows, int64_t stride, int64_t runs,
                          int64_t width, base::ThreadPool& pool) {
  pool.parallel_for(rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t run = 0; run < runs; ++run) {
        float* values = x + row * stride + run * width;
        norm_row(values, weight, eps, width, values);
      }
  });
}

inline void rotate(float* first, float* second, const float* c, const float* s, int64_t half) {
  by_vector(half, [&](int64_t i, int64_t n) {
    const V a = load_some(first + i, n), b = load_some(second + i, n);
    const V cosine = load_some(c + i, n), sine = load_some(s + i, n);
    store_some(first + i, sub(mul(a, cosine), mul(b, sine)), n);
    store_some(second + i, fma(b, cosine, mul(a, sine)), n);
  });
}

inline void rope(float* x, int64_t rows, int64_t stride, int64_t heads, int64_t head_dim,
                 const int32_t* positions, const float* inv_freq, float attention_factor,
                 base::ThreadPool& pool) {
  const int64_t half = head_dim / 2;
  pool.parallel_for(rows, 4, [&](int64_t begin, int64_t end) {
    static thread_local Scratch scratch;
    float* c = scratch.get<float>(2 * half);
    float* s = c + half;
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t i = 0; i < half; ++i) {
        const float angle = static_cast<float>(positions[row]) * inv_freq[i];
        c[i] = std::cos(angle) * attention_factor;
        s[i] = std::sin(angle) * attention_factor;
      }
      for (int64_t head = 0; head < heads; ++head) {
        float* at = x + row * stride + head * head_dim;
        rotate(at, at + half, c, s, half);
      }
    }
  });
}

inline void swiglu(const float* gate_up, int64_t rows, int64_t cols, float* h, base::ThreadPool& pool) {
  pool.parallel_for(rows, 4, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* gate = gate_up + row * 2 * cols;
      const float* up = gate + cols;
      by_vector(cols, [&](int64_t i, int64_t n) {
        const V g = load_some(gate + i, n);
        const V silu = div(g, add(set(1.0f), exp(sub(zero(), g))));
        store_some(h + row * cols + i, mul(silu, load_some(up + i, n)), n);
      });
    }
  });
}
