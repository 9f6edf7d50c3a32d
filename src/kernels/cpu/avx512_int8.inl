// int8 weights per channel times int8 inputs per token, with vpdpbusd: exact int32 sums, so any order gives
// the same bits. The instruction wants one unsigned side: inputs get 128 added, and 128 · Σ weights is taken
// off at the start. Included inside namespace avx512 after generic.inl.

// Codes of rounded rows: [rows][depth], offset by 128 when `shift` is; zeros of the input behind cols.
inline float int8_row(const Packed& w, const float* x, int shift, uint8_t* out) {
  static thread_local Scratch scratch;
  float* values = scratch.get<float>(w.depth);
  const float scale = round_row(w.input, w.precision, x, w.in_features, w.depth, values);
  for (int64_t k = 0; k < w.depth; k += 16) {
    const __m512i codes = _mm512_add_epi32(_mm512_cvtps_epi32(load(values + k)), _mm512_set1_epi32(shift));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + k), _mm512_cvtepi32_epi8(codes));
  }
  return scale;
}

// `rows` input rows times `strips` strips that lie `step` apart.
template <int rows, int strips>
void multiply_int8(const Block& b, int64_t strip, int64_t step, const uint8_t* x, int64_t depth,
                   const Outputs& out) {
  const std::byte* at[strips];
  __m512i sum[rows][strips];
#pragma GCC unroll 4
  for (int j = 0; j < strips; ++j) {
    at[j] = b.strip(strip + j * step);
    const __m512i start = _mm512_mullo_epi32(line(at[j] + b.sums_at), _mm512_set1_epi32(-128));
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) sum[i][j] = start;
  }
  for (int64_t k = 0; k < depth; k += 4) {
    __m512i weights[strips];
#pragma GCC unroll 4
    for (int j = 0; j < strips; ++j) {
      weights[j] = line(at[j] + k * kStrip);
      prefetch(at[j] + k * kStrip + kPrefetchBytes);
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      const __m512i codes = _mm512_set1_epi32(base::load<int32_t>(x + i * depth + k));
#pragma GCC unroll 4
      for (int j = 0; j < strips; ++j) sum[i][j] = _mm512_dpbusd_epi32(sum[i][j], codes, weights[j]);
    }
  }
  alignas(64)
      int32_t sums[strips][rows][16];  // through memory, so that the loop above keeps its sums in registers
#pragma GCC unroll 4
  for (int j = 0; j < strips; ++j)
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) _mm512_store_si512(sums[j][i], sum[i][j]);
  for (int j = 0; j < strips; ++j) {
    const V scale = load_scale(b, at[j] + b.scales_at);
    const int64_t row = (strip + j * step) * kStrip;
    for (int i = 0; i < rows; ++i)
      finish(out, i, b.first_row + row, b.rows - row,
             mul(_mm512_cvtepi32_ps(_mm512_load_si512(sums[j][i])), scale));
  }
}

template <int rows, int strips>
void multiply_rows_int8(int64_t wanted, const Block& b, int64_t strip, int64_t step, const uint8_t* x,
                        int64_t depth, const Outputs& out) {
  if constexpr (rows > 1) {
    if (wanted < rows) return multiply_rows_int8<rows - 1, strips>(wanted, b, strip, step, x, depth, out);
  }
  multiply_int8<rows, strips>(b, strip, step, x, depth, out);
}

inline void multiply_tile_int8(int64_t rows, int64_t strips, const Block& b, int64_t strip, int64_t step,
                               const uint8_t* x, int64_t depth, const Outputs& out) {
  switch (strips) {
    case 1:
      return multiply_rows_int8<kTileRows, 1>(rows, b, strip, step, x, depth, out);
    case 2:
      return multiply_rows_int8<kTileRows, 2>(rows, b, strip, step, x, depth, out);
    default:
      return multiply_rows_int8<kTileRows, 3>(rows, b, strip, step, x, depth, out);
  }
}

// Strips [begin, end) of the matrix times rows: few rows stream every strip once, many rows go by tiles in
// the cache.
inline void linear_int8(const Packed& w, const float* x, int64_t rows, const float* bias, bool accumulate,
                        float* y, base::ThreadPool& pool) {
  static thread_local Scratch code_scratch, scale_scratch;
  uint8_t* codes = code_scratch.get<uint8_t>(rows * w.depth);
  float* scales = scale_scratch.get<float>(rows);
  const auto round = [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      scales[r] = int8_row(w, x + r * w.in_features, 128, codes + r * w.depth);
  };
  if (rows <= kDecodeRows)
    round(0, rows);
  else
    pool.parallel_for(rows, kTileRows, round);
  pool.parallel_for(w.strips, 1, [&](int64_t begin, int64_t end) {
    for (const Block& b : w.blocks) {
      const int64_t from = std::max<int64_t>(0, begin - b.first_strip),
                    to = std::min(b.strips, end - b.first_strip);
      const int64_t groups =
          std::max<int64_t>(0, to - from) / kTileStrips;  // their strips lie `groups` apart
      const auto multiply = [&](int64_t strip, int64_t strips) {
        for (int64_t r = 0; r < rows; r += kTileRows) {
          const Outputs out = {y + r * w.out_features, w.out_features, scales + r, bias, accumulate};
          multiply_tile_int8(std::min<int64_t>(kTileRows, rows - r), strips, b, strip, groups,
                             codes + r * w.depth, w.depth, out);
        }
      };
      for (int64_t g = 0; g < groups; ++g) multiply(from + g, kTileStrips);
      for (int64_t s = from + groups * kTileStrips; s < to; ++s) multiply(s, 1);
    }
  });
}

inline void linear_any(const PackedMatrix& matrix, const float* x, int64_t rows, Phase phase,
                       const float* bias, bool accumulate, float* y, base::ThreadPool& pool) {
  const auto& w = static_cast<const Packed&>(matrix);
  if (w.integer()) return linear_int8(w, x, rows, bias, accumulate, y, pool);
  linear(matrix, x, rows, phase, bias, accumulate, y, pool);
}
