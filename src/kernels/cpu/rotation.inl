// tensor::Rotation over rows of activations; included inside an instruction set's namespace. Sums and
// differences are taken in the order of the definition, so their bits do not depend on the vectors.

// +1 in the lanes whose bit kDistance is clear, −1 in the others.
template <int kDistance>
AQ_INLINE V butterfly_signs() {
  alignas(64) float signs[16];
  for (int i = 0; i < 16; ++i) signs[i] = i & kDistance ? -1.0f : 1.0f;
  return load(signs);
}

// H over the lanes.
AQ_INLINE V transform_lanes(V x) {
  x = fma(x, butterfly_signs<1>(), exchange<1>(x));
  x = fma(x, butterfly_signs<2>(), exchange<2>(x));
  x = fma(x, butterfly_signs<4>(), exchange<4>(x));
  return fma(x, butterfly_signs<8>(), exchange<8>(x));
}

// H over n values, a power of two.
inline void walsh_hadamard(float* x, int64_t n) {
  if (n < 16) {
    for (int64_t half = 1; half < n; half *= 2)
      for (int64_t i = 0; i < n; ++i)
        if ((i & half) == 0) {
          const float a = x[i], b = x[i + half];
          x[i] = a + b;
          x[i + half] = a - b;
        }
    return;
  }
  for (int64_t i = 0; i < n; i += 16) store(x + i, transform_lanes(load(x + i)));
  for (int64_t half = 16; half < n; half *= 2)
    for (int64_t begin = 0; begin < n; begin += 2 * half)
      for (int64_t i = begin; i < begin + half; i += 16) {
        const V a = load(x + i), b = load(x + i + half);
        store(x + i, add(a, b));
        store(x + i + half, sub(a, b));
      }
}

// Outputs i … i + kRows − 1 of M for n ≤ 16 columns, whose inputs lie in `from`, 16 to each j.
template <int kRows>
AQ_INLINE void mix_rows(const float* m, const float* from, int64_t order, float* to, int64_t stride,
                        int64_t n) {
  V sums[kRows];
  for (V& sum : sums) sum = zero();
  for (int64_t j = 0; j < order; ++j) {
    const V x = load(from + j * 16);
    for (int i = 0; i < kRows; ++i) sums[i] = fma(set(m[i * order + j]), x, sums[i]);
  }
  for (int i = 0; i < kRows; ++i) store_some(to + i * stride, sums[i], n);
}

// M over the runs of x, 16 columns at a time.
inline void mix_runs(const tensor::Rotation& r, bool inverse, float* x, float* from) {
  const float* m = r.mix(inverse).data();
  const int64_t order = r.order(), run = r.run();
  by_vector(run, [&](int64_t column, int64_t n) {
    for (int64_t j = 0; j < order; ++j) store(from + j * 16, load_some(x + j * run + column, n));
    int64_t i = 0;
    for (; i + 4 <= order; i += 4) mix_rows<4>(m + i * order, from, order, x + i * run + column, run, n);
    for (; i < order; ++i) mix_rows<1>(m + i * order, from, order, x + i * run + column, run, n);
  });
}

inline void rotate_run(const tensor::Rotation& r, bool inverse, float* x, float* scratch) {
  const V scale = set(r.scale());
  const auto signs = [&](int64_t i, int64_t n) { return load_some(r.signs() + i, n); };
  const bool mixes = !r.mix(inverse).empty();
  if (inverse && mixes) mix_runs(r, true, x, scratch);
  if (!inverse)
    by_vector(r.width(),
              [&](int64_t i, int64_t n) { store_some(x + i, mul(load_some(x + i, n), signs(i, n)), n); });
  for (int64_t i = 0; i < r.order(); ++i) walsh_hadamard(x + i * r.run(), r.run());
  if (!inverse && mixes) mix_runs(r, false, x, scratch);
  by_vector(r.width(), [&](int64_t i, int64_t n) {
    const V scaled = mul(load_some(x + i, n), scale);
    store_some(x + i, inverse ? mul(scaled, signs(i, n)) : scaled, n);
  });
}

inline void rotate_runs(const tensor::Rotation& r, bool inverse, float* x, int64_t rows, int64_t stride,
                        int64_t runs, base::ThreadPool& pool) {
  pool.parallel_for(rows, 1, [&](int64_t begin, int64_t end) {
    static thread_local Scratch scratch;
    float* room = scratch.get<float>(r.order() * 16);
    for (int64_t row = begin; row < end; ++row)
      for (int64_t run = 0; run < runs; ++run)
        rotate_run(r, inverse, x + row * stride + run * r.width(), room);
  });
}
