// What attention to prompts and to generated tokens share; included inside an instruction set's namespace.

inline int64_t first_visible(const AttentionShape& shape, int64_t position) {
  return shape.window > 0 ? std::max<int64_t>(0, position - shape.window + 1) : 0;
}

inline void round_query(const float* q, int64_t dim, Precision precision, float* out) {
  map_row(q, dim, out, [&](V v) { return precision == Precision::fp32 ? v : round_bf16(v); });
}

// Softmax works with powers of two: e^((s − m) · scale) = 2^(s · c − m · c), c = scale · log2 e.
inline float exponent_scale(const AttentionShape& shape) { return shape.scale * 0x1.715476p0f; }

constexpr float kNoScore = -std::numeric_limits<float>::max();

// The largest of scores[from, to) and `most`.
inline float largest_score(const float* scores, int64_t from, int64_t to, float most) {
  V x = set(most), y = x;
  int64_t i = from;
  for (; i + 32 <= to; i += 32) {
    x = max(x, load(scores + i));
    y = max(y, load(scores + i + 16));
  }
  x = max(x, y);
  for (; i + 16 <= to; i += 16) x = max(x, load(scores + i));
  if (i < to) x = max(x, load_n(scores + i, to - i, x));
  return largest(x);
}

// scores[from, to) become weights 2^((s − most) · c); returns their sum.
inline float soften(float* scores, int64_t from, int64_t to, float most, float c) {
  const V factor = set(c), shift = set(-(most * c));
  V total = zero();
  int64_t i = from;
  for (; i + 16 <= to; i += 16) {
    const V weight = exp2(fma(load(scores + i), factor, shift));
    store(scores + i, weight);
    total = add(total, weight);
  }
  if (i < to) {
    store_n(scores + i, exp2(fma(load_n(scores + i, to - i), factor, shift)), to - i);
    total = add(total, load_n(scores + i, to - i));
  }
  return sum(total);
}
