// One chunk of positions for generated tokens: what it is, and its products over floating codes (integer ones:
// attention_codes.inl). Included inside an instruction set's namespace.

constexpr int64_t kDecodeChunk = 128;  // whole pieces
constexpr int kDecodeHeads = 4;        // query heads whose sums lie in registers together
constexpr int64_t kCacheAhead = 8192;  // bytes

// What a chunk leaves of one query head: Σ weight · v [width], the largest score, Σ weight.
struct Partial {
  float* sums;
  int64_t width;
  static int64_t stride(int64_t width) { return width + 16; }
  float& most() const { return sums[width]; }
  float& total() const { return sums[width + 1]; }
};

// Some query heads of one key head and one token against a chunk of positions [begin, end).
struct DecodeChunk {
  const KvHead& head;
  int64_t chunk, begin, end, exact_from;
  int64_t width;       // head_dim in whole vectors
  const float* query;  // [heads][width], rounded
  float* scores;       // [heads][kDecodeChunk]
  float* partials;     // [heads][Partial::stride(width)]

  // body(piece, its first position, one past its last), int4's pieces or the whole chunk
  template <class Body>
  void for_pieces(Body body) const {
    const int64_t step = head.format() == KvFormat::int4 ? kPiece : kDecodeChunk;
    for (int64_t p = begin / step * step; p < end; p += step)
      body(head.piece(p, p >= exact_from), p, std::min(p + step, end));
  }
};

// scores[head][position] of `strips` strips; queries are padded to whole lanes.
template <KvFormat f, int heads, int strips>
void score_strips(const std::byte* keys, int64_t lines, const float* q, int64_t q_stride, float* scores) {
  V dots[heads][strips];
#pragma GCC unroll 4
  for (int h = 0; h < heads; ++h)
#pragma GCC unroll 4
    for (int s = 0; s < strips; ++s) dots[h][s] = zero();
  for (int64_t line = 0; line < lines; ++line, keys += kKvLine, q += kCodes<f>)
#pragma GCC unroll 4
    for (int s = 0; s < strips; ++s) {
      V x[8];
      prefetch(keys + line * (strips - 1) * kKvLine + (strips * lines + s) * kKvLine);
      unpack_line<f>(keys + s * lines * kKvLine, x);
#pragma GCC unroll 8
      for (int i = 0; i < kCodes<f>; ++i)
#pragma GCC unroll 4
        for (int h = 0; h < heads; ++h) dots[h][s] = fma(set(q[h * q_stride + i]), x[i], dots[h][s]);
    }
#pragma GCC unroll 4
  for (int h = 0; h < heads; ++h)
#pragma GCC unroll 4
    for (int s = 0; s < strips; ++s) store(scores + h * kDecodeChunk + 16 * s, dots[h][s]);
}

// sums[head] += Σ weight · v for `count` positions and `lines` lines of dimensions.
template <KvFormat f, int heads, int lines>
void weigh_lines(const std::byte* values, int64_t value_lines, int64_t count, const float* weights,
                 float* sums, int64_t stride) {
  V sum[heads][lines];
#pragma GCC unroll 4
  for (int h = 0; h < heads; ++h)
#pragma GCC unroll 4
    for (int j = 0; j < lines; ++j) sum[h][j] = load(sums + h * stride + 16 * j);
  const auto add = [&](int64_t p, int64_t codes) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int j = 0; j < lines; ++j) {
      V x[8];
      prefetch(values + (p / kCodes<f> * value_lines + j) * kKvLine + kCacheAhead);
      unpack_line<f>(values + (p / kCodes<f> * value_lines + j) * kKvLine, x);
#pragma GCC unroll 8
      for (int i = 0; i < kCodes<f>; ++i) {
        if (i >= codes) break;
#pragma GCC unroll 4
        for (int h = 0; h < heads; ++h)
          sum[h][j] = fma(set(weights[h * kDecodeChunk + p + i]), x[i], sum[h][j]);
      }
    }
  };
  int64_t p = 0;
  for (; p + kCodes<f> <= count; p += kCodes<f>) add(p, kCodes<f>);
  if (kCodes<f> > 1 && p < count) add(p, count - p);
#pragma GCC unroll 4
  for (int h = 0; h < heads; ++h)
#pragma GCC unroll 4
    for (int j = 0; j < lines; ++j) store(sums + h * stride + 16 * j, sum[h][j]);
}

// The scale of each key goes to its score.
template <KvFormat f, int heads>
void score_piece(const DecodeChunk& c, const KvPiece& piece, int64_t first, int64_t end) {
  float* scores = c.scores + first - c.chunk;
  const int64_t strips = base::ceil_div(end - first, int64_t{16});
  for (int64_t s = 0; s < strips;) {
    const std::byte* keys = piece.keys + s * piece.key_lines * kKvLine;
    const bool many = kAttendStrips > 1 && s + kAttendStrips <= strips;
    (many ? score_strips<f, heads, kAttendStrips> : score_strips<f, heads, 1>)(keys, piece.key_lines, c.query,
                                                                             c.width, scores + 16 * s);
    s += many ? kAttendStrips : 1;
  }
  if constexpr (kScaled<f>)
    for (int h = 0; h < heads; ++h)
      by_vector(end - first, [&](int64_t i, int64_t n) {
        float* at = scores + h * kDecodeChunk + i;
        store_n(at, mul(load_n(at, n), load_scales<f>(piece.key_scales, i, n)), n);
      });
}

// The scale of each value goes to its weight.
template <KvFormat f, int heads>
void weigh_piece(const DecodeChunk& c, const KvPiece& piece, int64_t first, int64_t end) {
  float* weights = c.scores + first - c.chunk;
  if constexpr (kScaled<f>)
    for (int h = 0; h < heads; ++h)
      by_vector(end - first, [&](int64_t i, int64_t n) {
        float* at = weights + h * kDecodeChunk + i;
        store_n(at, mul(load_n(at, n), load_scales<f>(piece.value_scales, i, n)), n);
      });
  for (int64_t j = 0; j < piece.value_lines;) {
    const bool many = kAttendStrips > 1 && j + kAttendStrips <= piece.value_lines;
    (many ? weigh_lines<f, heads, kAttendStrips> : weigh_lines<f, heads, 1>)(
        piece.values + j * kKvLine, piece.value_lines, end - first, weights, c.partials + 16 * j,
        Partial::stride(c.width));
    j += many ? kAttendStrips : 1;
  }
}
