// Attention of generated tokens over a cache of integer codes: queries and weights go as 16-bit fixed point, so the
// products are exact sums in 32 bits and nothing is turned to floats but those. Included inside an instruction
// set's namespace.

template <KvFormat f>
constexpr bool kIntegerCodes = f == KvFormat::int8 || f == KvFormat::int4;

// Codes (0, 2), (1, 3) of every lane, and of int4 (4, 6), (5, 7), as pairs of 16 bits.
template <KvFormat f, int i>
AQ_INLINE I code_pair(const std::byte* at) {
  if constexpr (f == KvFormat::int4) return and_i(right<i % 2 * 8 + i / 2 * 4>(line(at)), 0x000f000f);
  return halves_right<8>(left<i == 0 ? 8 : 0>(line(at)));
}

// Lines of int8 are done faster than the few misses that an L1 cache can wait for at once are filled.
template <KvFormat f>
AQ_INLINE void fetch_ahead(const std::byte* at) {
  f == KvFormat::int8 ? prefetch_far(at) : prefetch(at);
}

// Lines of a cache that meet the same numbers side by side: `streams` of them, `stream` bytes apart, and the next
// `step` bytes behind.
struct Lines {
  const std::byte* data;
  int64_t count, step, stream;
};

// Numbers as pairs of 16 bits, in the order of code_pair().
struct Words {
  const int32_t* data;
  int64_t stride;  // of heads
};

// out[h][s] = Σ codes of stream s · numbers of head h.
template <KvFormat f, int heads, int streams>
AQ_INLINE void multiply_codes(const Lines& lines, const Words& x, V (&out)[heads][streams]) {
  constexpr int kWords = kCodes<f> / 2;  // of a lane
  I sum[heads][streams];
#pragma GCC unroll 16
  for (int i = 0; i < heads * streams; ++i) sum[i / streams][i % streams] = set_i(0);
  const std::byte* at = lines.data;
  const int32_t* words = x.data;
  for (int64_t k = 0; k < lines.count; ++k, at += lines.step, words += kWords) {
#pragma GCC unroll 4
    for (int s = 0; s < streams; ++s) fetch_ahead<f>(at + s * lines.stream + kCacheAhead);
    each_word<kWords>([&]<int i>() {
      I w[streams];
#pragma GCC unroll 4
      for (int s = 0; s < streams; ++s) w[s] = code_pair<f, i>(at + s * lines.stream);
#pragma GCC unroll 4
      for (int h = 0; h < heads; ++h) {
        const I number = set_i(words[h * x.stride + i]);
#pragma GCC unroll 4
        for (int s = 0; s < streams; ++s) sum[h][s] = dot16(sum[h][s], w[s], number);
      }
    });
  }
#pragma GCC unroll 16
  for (int i = 0; i < heads * streams; ++i) out[i / streams][i % streams] = to_float(sum[i / streams][i % streams]);
}

// x[count] as pairs of 16-bit codes, count a multiple of 16; returns their scale.
inline float fixed_pairs(const float* x, int64_t count, int32_t* words) {
  // Codes of a cache are at most 127 in size: sums of more than 512 products need smaller codes.
  const float range = count <= 512 ? 32767.0f : 0x1p24f / static_cast<float>(count);
  return fixed_point(x, count, range, [&](int64_t i, I codes) { pairs(codes, words + i / 2); });
}

// The query of one head against int4's keys: q · (s c + m) = (q s) · c + q · m. Writes q s; returns q · m.
inline float scale_query(const float* query, int64_t dim, const float* scales, const float* minima, float* scaled) {
  V offset = zero();
  by_vector(dim, [&](int64_t d, int64_t n) {
    const V q = load_n(query + d, n);
    store(scaled + d, mul(q, load_n(scales + d, n)));
    offset = fma(q, load_n(minima + d, n), offset);
  });
  return sum(offset);
}

template <KvFormat f, int heads, int streams>
void score_codes(const KvPiece& piece, int64_t strip, const Words& query, const float* scales, const float* addends,
                 float* scores) {
  V dots[heads][streams];
  const int64_t bytes = piece.key_lines * kKvLine;
  multiply_codes<f>({piece.keys + strip * bytes, piece.key_lines, kKvLine, bytes}, query, dots);
#pragma GCC unroll 4
  for (int s = 0; s < streams; ++s) {
    const int64_t at = 16 * (strip + s);
    const V of_keys =
        f == KvFormat::int8 ? load(reinterpret_cast<const float*>(piece.key_scales) + at) : set(1.0f);
#pragma GCC unroll 4
    for (int h = 0; h < heads; ++h)
      store(scores + h * kDecodeChunk + at, fma(dots[h][s], mul(of_keys, set(scales[h])), set(addends[h])));
  }
}

template <KvFormat f, int heads>
void score_codes(const DecodeChunk& c, const KvPiece& piece, int64_t first, int64_t end) {
  static thread_local Scratch float_scratch, word_scratch;
  float* pairs = float_scratch.get<float>(3 * c.width);
  float *minima = pairs + c.width, *scaled = minima + c.width;
  int32_t* words = word_scratch.get<int32_t>(heads * c.width / 2);
  float scales[heads], addends[heads] = {};
  if constexpr (f == KvFormat::int4) read_pairs(piece.key_scales, c.width, pairs, minima);
  for (int h = 0; h < heads; ++h) {
    const float* query = c.query + h * c.width;
    if constexpr (f == KvFormat::int4) {
      addends[h] = scale_query(query, c.head.dim, pairs, minima, scaled);
      query = scaled;
    }
    scales[h] = fixed_pairs(query, c.width, words + h * c.width / 2);
  }
  const int64_t strips = base::ceil_div(end - first, int64_t{16});
  for (int64_t s = 0; s < strips;) {
    const bool many = kAttendStrips > 1 && s + kAttendStrips <= strips;
    (many ? score_codes<f, heads, kAttendStrips> : score_codes<f, heads, 1>)(
        piece, s, {words, c.width / 2}, scales, addends, c.scores + first - c.chunk);
    s += many ? kAttendStrips : 1;
  }
}

// sums[head] += scale · Σ weight · code + addend for `streams` lines of dimensions.
template <KvFormat f, int heads, int streams>
void weigh_codes(const KvPiece& piece, int64_t line, int64_t count, const Words& weights, float scale,
                 const float* addends, float* sums, int64_t stride) {
  V products[heads][streams];
  multiply_codes<f>({piece.values + line * kKvLine, base::ceil_div(count, int64_t{kCodes<f>}),
                     piece.value_lines * kKvLine, kKvLine},
                    weights, products);
#pragma GCC unroll 4
  for (int h = 0; h < heads; ++h)
#pragma GCC unroll 4
    for (int s = 0; s < streams; ++s) {
      float* at = sums + h * stride + 16 * (line + s);
      store(at, fma(products[h][s], set(scale), add(load(at), set(addends[h]))));
    }
}

// The scale of each value goes to its weight; int4's minima add Σ weight · minimum to every dimension. Weights are at
// most 1, as each chunk's largest, so all heads share what 32767 stands for: the largest scale.
template <KvFormat f, int heads>
void weigh_codes(const DecodeChunk& c, const KvPiece& piece, int64_t first, int64_t end) {
  alignas(64) float factors[kDecodeChunk] = {}, minima[kDecodeChunk];
  alignas(64) int32_t words[heads][kDecodeChunk / 2];
  const int64_t count = end - first;
  if constexpr (f == KvFormat::int8) std::memcpy(factors, piece.value_scales, static_cast<size_t>(count) * 4);
  if constexpr (f == KvFormat::int4) read_pairs(piece.value_scales, kPiece, factors, minima);
  std::fill(factors, factors + std::max<int64_t>(0, c.begin - first), 0.0f);  // out of the window
  V most = zero();
  by_vector(count, [&](int64_t i, int64_t) { most = max(most, load(factors + i)); });
  const float scale = largest(most) / 32767, inverse = 1 / scale;
  by_vector(count, [&](int64_t i, int64_t) { store(factors + i, mul(load(factors + i), set(inverse))); });
  float addends[heads] = {};
  for (int h = 0; h < heads; ++h) {
    V offset = zero();
    by_vector(count, [&](int64_t i, int64_t n) {
      const V weight = load_n(c.scores + h * kDecodeChunk + first - c.chunk + i, n);
      if constexpr (f == KvFormat::int4) offset = fma(weight, load(minima + i), offset);
      pairs(nearest_i(mul(weight, load(factors + i))), words[h] + i / 2);
    });
    if constexpr (f == KvFormat::int4) addends[h] = sum(offset);
  }
  for (int64_t j = 0; j < piece.value_lines;) {
    const bool many = kAttendStrips > 1 && j + kAttendStrips <= piece.value_lines;
    (many ? weigh_codes<f, heads, kAttendStrips> : weigh_codes<f, heads, 1>)(
        piece, j, count, {words[0], kDecodeChunk / 2}, scale, addends, c.partials, Partial::stride(c.width));
    j += many ? kAttendStrips : 1;
  }
}
