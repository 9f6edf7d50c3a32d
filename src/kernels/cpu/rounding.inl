// input_rounding.h for the generic kernels, bit for bit; included inside an instruction set's namespace.

// Nearest integer, ties to even, for |x| < 2^22.
AQ_INLINE V nearest(V x) {
  const V magic = set(0x1.8p23f);
  return sub(add(x, magic), magic);
}

// Nearest E4M3 value, ties to even, for |x| ≤ 448: 1.5 · 2^20 times the power of two below |x| has an ulp of
// one eighth of that power; below 2^-6 the grid is that of the subnormals.
AQ_INLINE V nearest_e4m3(V x) {
  const V magic = mul(max(power_floor(abs(x)), set(0x1p-6f)), set(0x1.8p20f));
  return sub(add(x, magic), magic);
}

template <class Round>
AQ_INLINE void map_row(const float* x, int64_t cols, float* out, Round round) {
  int64_t i = 0;
  for (; i + 16 <= cols; i += 16) store(out + i, round(load(x + i)));
  if (i < cols) store_n(out + i, round(load_n(x + i, cols - i)), cols - i);
}

// Zeros in the place of outliers.
inline void leave_out(float threshold, int64_t cols, float* values) {
  for (int64_t i = 0; i < cols; ++i) values[i] = std::fabs(values[i]) >= threshold ? 0.0f : values[i];
}

// Writes out[depth], zeros behind cols; returns the row's scale.
inline float round_row(const numeric::ActivationScheme& scheme, Precision precision, const float* x,
                       int64_t cols, int64_t depth, float* out) {
  std::memset(out + cols, 0, static_cast<size_t>(depth - cols) * sizeof(float));
  const bool integer = scheme.format && scheme.format->kind == numeric::Kind::integer;
  if (scheme.format && !integer && (scheme.format != &numeric::fp8_e4m3 || scheme.group > 0))
    return round_input(scheme, precision, x, cols, out);
  if (precision != Precision::fp32)
    map_row(x, cols, out, [](V v) { return round_bf16(v); });
  else
    std::memcpy(out, x, static_cast<size_t>(cols) * sizeof(float));
  if (!scheme.format) return 1.0f;
  if (scheme.outlier_threshold > 0) leave_out(scheme.outlier_threshold, cols, out);
  V most = zero();
  for (int64_t i = 0; i < cols; i += 16)
    most = max(most, abs(load_n(out + i, std::min<int64_t>(16, cols - i))));
  const float scale = input_scale(scheme, largest(most));
  const V divisor = set(scale), high = set(scheme.format->max);
  const V low = integer ? set(-scheme.format->max - 1) : set(-scheme.format->max);
  if (integer)
    map_row(out, cols, out, [=](V v) { return nearest(max(min(div(v, divisor), high), low)); });
  else
    map_row(out, cols, out, [=](V v) { return nearest_e4m3(max(min(div(v, divisor), high), low)); });
  return scale;
}
