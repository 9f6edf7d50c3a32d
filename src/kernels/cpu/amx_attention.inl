// Prompt attention on AMX tiles, over caches whose codes BF16 holds exactly: 32 rows (tokens · query heads of
// one key head) against chunks of positions, with a running maximum as in attention_prefill.inl. Scores are
// products of BF16; weights are two BF16 numbers each, so that 16 bits of them count. A row's arithmetic
// depends on its position alone: what a tile adds for positions that a row does not see is exactly zero.
// Included inside namespace avx512 after amx_linear.inl.

constexpr int64_t kTileChunk = 256;     // positions
constexpr int64_t kTilePositions = 32;  // of a tile of weights
constexpr int64_t kBlockPairs = 4;      // pairs of row tiles that share a chunk's keys and values

constexpr bool exact_in_bf16(KvFormat f) {
  return f == KvFormat::bf16 || f == KvFormat::fp8_e4m3 || f == KvFormat::int8;
}

// The keys of [0, count) as tiles [pair of strips][strip][steps][16 lines]: lanes are positions, lines pairs
// of dimensions.
template <KvFormat f>
void key_tiles(const KvPiece& piece, int64_t count, int64_t steps, std::byte* out) {
  const int64_t strips = base::ceil_div(count, kKvStrip);
  for (int64_t s = 0; s < strips; ++s, out += steps * kTileBytes) {
    const std::byte* from = piece.keys + s * piece.key_lines * kKvLine;
    std::byte* to = out;
    for (int64_t i = 0; i < piece.key_lines; ++i, from += kKvLine) {
      if constexpr (f == KvFormat::bf16) {
        store_line(to, line(from)), to += kLine;
      } else {
        V x[8];
        unpack_line<f>(from, x);
        for (int c = 0; c < kCodes<f>; c += 2, to += kLine)
          store_line(to, pair_line(_mm512_castps_si512(x[c]), _mm512_castps_si512(x[c + 1])));
      }
    }
    std::memset(to, 0, static_cast<size_t>(out + steps * kTileBytes - to));
  }
}

// The values of [0, count) as tiles [16 dimensions][32 positions][16 lines]: lanes are dimensions, line i
// positions i and 16 + i, as the weights come out of two vectors. Positions from `count` on are zeros.
template <KvFormat f>
void value_tiles(const KvPiece& piece, int64_t count, int64_t steps, std::byte* out) {
  constexpr int64_t kGroup = kCodes<f>;
  const auto half = [&](int64_t position, int64_t j, V(&x)[16]) {  // 16 positions
    for (int64_t i = 0; i < kKvStrip; i += kGroup) {
      if (position + i >= count) {
        for (int64_t c = 0; c < kGroup; ++c) x[i + c] = zero();
        continue;
      }
      V codes[8];
      unpack_line<f>(piece.values + ((position + i) / kGroup * piece.value_lines + j) * kKvLine, codes);
      for (int64_t c = 0; c < kGroup; ++c) x[i + c] = position + i + c < count ? codes[c] : zero();
    }
  };
  for (int64_t step = 0; step < steps; ++step)
    for (int64_t j = 0; j < piece.value_lines; ++j) {
      V low[16], high[16];
      half(step * kTilePositions, j, low);
      half(step * kTilePositions + kKvStrip, j, high);
      std::byte* to = out + (j * kTileChunk / kTilePositions + step) * kTileBytes;
      for (int i = 0; i < 16; ++i)
        store_line(to + i * kLine, pair_line(_mm512_castps_si512(low[i]), _mm512_castps_si512(high[i])));
    }
}

// Some tokens' rows of one key head.
struct TileBlock {
  const AttentionShape& shape;
  KvHead head;
  int64_t position, tokens;                 // of the first token; how many
  int64_t group, rows;                      // query heads per key head; tokens · group, token-major
  int64_t key_steps = 0, value_strips = 0;  // tiles of a query's dimensions; strips of dimensions
  TileRows query{};
  std::byte *keys = nullptr, *values = nullptr;
  // Of a pair of row tiles: scores [32 positions][32 rows][32]; the weights' upper and lower parts as tiles
  // of a; Σ weight · v so far [pairs][pair of strips][32 rows][32].
  std::byte *scores = nullptr, *upper = nullptr, *lower = nullptr, *sums = nullptr;
  float *most = nullptr, *total = nullptr;               // of all rows
  float *key_scales = nullptr, *value_scales = nullptr;  // of the chunk's positions, if `scaled`
  bool scaled = false;

  int64_t position_of(int64_t row) const { return position + row / group; }
  int64_t sum_pairs() const { return base::ceil_div(value_strips, int64_t{2}); }
  std::byte* sums_of(int64_t row, int64_t d) const {
    return sums + (row / kPairRows * sum_pairs() + d) * kPairSums;
  }
};

// The positions [from, to) of a chunk that a row sees, counted from its begin.
struct Visible {
  int64_t from, to;
  bool all(int64_t at) const { return from <= at && at + kKvStrip <= to; }  // of the 16 from `at` on
  bool none(int64_t at) const { return at + kKvStrip <= from || to <= at; }
  __mmask16 lanes(int64_t at) const {
    const auto below = [at](int64_t position) {
      return first(std::clamp<int64_t>(position - at, 0, kKvStrip));
    };
    return static_cast<__mmask16>(below(to) & ~below(from));
  }
};
inline Visible visible(const TileBlock& b, int64_t row, int64_t begin, int64_t end) {
  const int64_t position = b.position_of(row);
  const int64_t from = std::clamp(first_visible(b.shape, position), begin, end) - begin;
  return {from, std::clamp(position + 1, begin + from, end) - begin};
}

// Scores of 16 positions of row r of a pair.
AQ_INLINE V score(const TileBlock& b, int64_t r, int64_t at) {
  const std::byte* row = b.scores + at / kTilePositions * kPairSums + r * 2 * kTileRow;
  const V x = load(reinterpret_cast<const float*>(row) + at % kTilePositions);
  return b.scaled ? mul(x, load(b.key_scales + at)) : x;
}

// The largest visible score of row r and `most`.
inline float largest_visible(const TileBlock& b, int64_t r, const Visible& v, float most) {
  V x = set(most), y = x;
  for (int64_t at = v.from / kTilePositions * kTilePositions; at < v.to; at += kTilePositions) {
    if (v.all(at) && v.all(at + kKvStrip)) [[likely]] {
      x = max(x, score(b, r, at));
      y = max(y, score(b, r, at + kKvStrip));
    } else {
      x = _mm512_mask_max_ps(x, v.lanes(at), x, score(b, r, at));
      y = _mm512_mask_max_ps(y, v.lanes(at + kKvStrip), y, score(b, r, at + kKvStrip));
    }
  }
  return largest(max(x, y));
}

// Weights 2^((s − most) · c) of row r over the tiles [first, last) of positions; returns their sum.
inline float weigh_row(const TileBlock& b, int64_t r, const Visible& v, int64_t first, int64_t last,
                       float most, float c) {
  const V factor = set(c), shift = set(-(most * c));
  const __m512i upper_half = _mm512_set1_epi32(~0xffff), half = _mm512_set1_epi32(0x8000);
  V total = zero();
  const auto weight = [&](int64_t at) __attribute__((always_inline)) {
    if (v.none(at)) return zero();
    V w = exp2(fma(score(b, r, at), factor, shift));
    if (!v.all(at)) [[unlikely]]
      w = _mm512_maskz_mov_ps(v.lanes(at), w);
    total = add(total, w);
    if (b.scaled) w = _mm512_maskz_mul_ps(v.lanes(at), w, load(b.value_scales + at));
    return w;
  };
  // What truncation takes away, which is exact; to be truncated after rounding.
  const auto rest = [&](V w) __attribute__((always_inline)) {
    const V taken = sub(w, _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(w), upper_half)));
    return _mm512_add_epi32(_mm512_castps_si512(taken), half);
  };
  for (int64_t t = first; t < last; ++t) {
    const V low = weight(t * kTilePositions), high = weight(t * kTilePositions + kKvStrip);
    const int64_t to = t * kPairBytes + r * kTileRow;
    store_line(b.upper + to, pair_line(_mm512_castps_si512(low), _mm512_castps_si512(high)));
    store_line(b.lower + to, pair_line(rest(low), rest(high)));
  }
  return sum(total);
}

// One pair of row tiles against the chunk [begin, end).
template <class T>
void attend_pair(const TileBlock& b, int64_t first_row, int64_t begin, int64_t end) {
  const int64_t rows = std::min(kPairRows, b.rows - first_row);
  const int64_t from = visible(b, first_row, begin, end).from,
                to = visible(b, first_row + rows - 1, begin, end).to;
  if (from >= to) return;
  const int64_t first = from / kTilePositions, last = base::ceil_div(to, kTilePositions);
  const auto multiply = pair_kernel<T, false>(rows);
  const int64_t strip_bytes = b.key_steps * kTileBytes;
  for (int64_t t = first; t < last; ++t) {
    const std::byte* keys = b.keys + 2 * t * strip_bytes;
    multiply(b.query.pair(first_row), keys, keys + strip_bytes, b.key_steps, b.scores + t * kPairSums, true);
  }

  const float c = exponent_scale(b.shape);
  alignas(64) float kept[kPairRows] = {};
  for (int64_t r = 0; r < rows; ++r) {
    float& most = b.most[first_row + r];
    const float now = largest_visible(b, r, visible(b, first_row + r, begin, end), most);
    kept[r] = (most - now) * c;
    most = now;
  }
  for (int64_t r = 0; r < kPairRows; r += 16) store(kept + r, exp2(load(kept + r)));
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t row = first_row + r;
    b.total[row] =
        b.total[row] * kept[r] + weigh_row(b, r, visible(b, row, begin, end), first, last, b.most[row], c);
    if (kept[r] == 1) continue;
    for (int64_t d = 0; d < b.sum_pairs(); ++d)
      for (int64_t i = 0; i < kTilePositions; i += 16) {
        float* at = reinterpret_cast<float*>(b.sums_of(first_row, d) + r * 2 * kTileRow) + i;
        store(at, mul(load(at), set(kept[r])));
      }
  }

  for (int64_t d = 0; d < b.sum_pairs(); ++d) {
    const auto values = [&](int64_t strip) {
      return b.values +
             (std::min(strip, b.value_strips - 1) * kTileChunk / kTilePositions + first) * kTileBytes;
    };
    for (const std::byte* weights : {b.upper, b.lower})
      multiply(weights + first * kPairBytes, values(2 * d), values(2 * d + 1), last - first,
               b.sums_of(first_row, d), false);
  }
}

// Where a block's numbers lie until the next one.
inline void give_memory(TileBlock& b) {
  static thread_local Scratch scratch;
  constexpr int64_t kSteps = kTileChunk / kTilePositions;
  const int64_t pairs = base::ceil_div(b.rows, kPairRows), rows = pairs * kPairRows;
  const int64_t query = pairs * b.key_steps * kPairBytes, keys = 2 * kSteps * b.key_steps * kTileBytes;
  const int64_t values = b.value_strips * kSteps * kTileBytes, sums = pairs * b.sum_pairs() * kPairSums;
  const int64_t scores = kSteps * kPairSums, weights = kSteps * kPairBytes;
  const int64_t floats = 2 * (rows + kTileChunk) * static_cast<int64_t>(sizeof(float));
  std::byte* at = scratch.get<std::byte>(query + keys + values + sums + scores + 2 * weights + floats);
  const auto take = [&at](int64_t bytes) { return std::exchange(at, at + bytes); };
  const auto take_floats = [&](int64_t count) {
    return reinterpret_cast<float*>(take(count * static_cast<int64_t>(sizeof(float))));
  };
  b.query = {take(query), b.key_steps, nullptr, nullptr}, b.keys = take(keys), b.values = take(values),
  b.sums = take(sums);
  b.scores = take(scores), b.upper = take(weights), b.lower = take(weights);
  b.most = take_floats(rows), b.total = take_floats(rows);
  b.key_scales = take_floats(kTileChunk), b.value_scales = take_floats(kTileChunk);
  std::memset(b.query.data, 0, static_cast<size_t>(query));
  std::memset(b.sums, 0, static_cast<size_t>(sums));
  std::memset(b.upper, 0, static_cast<size_t>(2 * weights));
  std::fill(b.most, b.most + rows, kNoScore);
  std::fill(b.total, b.total + rows, 0.0f);
}

// The block's queries as tiles.
inline void load_queries(const TileBlock& b, const float* q, int64_t q_stride) {
  const int64_t dim = b.shape.head_dim;
  for (int64_t row = 0; row < b.rows; ++row) {
    std::byte* tiles = b.query.row(row);
    const float* from = q + row / b.group * q_stride + row % b.group * dim;
    for (int64_t d = 0; d < dim; d += 16) prefetch(from + q_stride + d);
    by_vector(dim, [&](int64_t d, int64_t n) {
      store_bf16_n(reinterpret_cast<uint16_t*>(tiles + d / 32 * kPairBytes) + d % 32, load_n(from + d, n), n);
    });
  }
}

// Keys and values of the chunk [begin, begin + count) as tiles, and their scales.
inline void load_chunk(TileBlock& b, int64_t begin, int64_t count) {
  with_form(b.head.format(), [&](auto form) {
    constexpr KvFormat f = form();
    b.scaled = kScaled<f>;
    for (int64_t at = 0; at < count; at += kKvPage) {
      const KvPiece piece = b.head.piece(begin + at, false);
      const int64_t some = std::min(count - at, kKvPage);
      if constexpr (exact_in_bf16(f)) {
        key_tiles<f>(piece, some, b.key_steps, b.keys + at / kKvStrip * b.key_steps * kTileBytes);
        value_tiles<f>(piece, some, base::ceil_div(some, kTilePositions),
                       b.values + at / kTilePositions * kTileBytes);
      }
      if constexpr (kScaled<f>)
        by_vector(some, [&](int64_t i, int64_t n) {
          store(b.key_scales + at + i, load_scales<f>(piece.key_scales, i, n));
          store(b.value_scales + at + i, load_scales<f>(piece.value_scales, i, n));
        });
    }
  });
}

template <class T>
void attend_tiles(TileBlock& b, const float* q, int64_t q_stride, float* out) {
  b.key_steps = base::ceil_div(b.shape.head_dim, int64_t{32});
  b.value_strips = base::ceil_div(b.shape.head_dim, int64_t{16});
  give_memory(b);
  load_queries(b, q, q_stride);
  const int64_t behind = b.position + b.tokens;
  for (int64_t begin = first_visible(b.shape, b.position) / kTileChunk * kTileChunk; begin < behind;
       begin += kTileChunk) {
    const int64_t end = std::min(begin + kTileChunk, behind);
    load_chunk(b, begin, end - begin);
    for (int64_t row = 0; row < b.rows; row += kPairRows) attend_pair<T>(b, row, begin, end);
  }
  for (int64_t row = 0; row < b.rows; ++row)
    by_vector(b.shape.head_dim, [&](int64_t d, int64_t n) {
      const std::byte* sums = b.sums_of(row, d / 32) + row % kPairRows * 2 * kTileRow;
      float* to = out + (row / b.group * b.shape.heads + row % b.group) * b.shape.head_dim;
      store_some(to + d, div(load(reinterpret_cast<const float*>(sums) + d % 32), set(b.total[row])), n);
    });
}

template <class T>
void attention_amx(const Spans& spans, const AttentionShape& shape, Precision precision, Phase phase,
                   const float* q, int64_t q_stride, float* out, base::ThreadPool& pool) {
  if (phase == Phase::decode || precision == Precision::fp32 ||
      !exact_in_bf16(spans.list.front().cache.format))
    return set_of_kernels.attention(spans, shape, precision, phase, q, q_stride, out, pool);
  const int64_t dim = shape.head_dim, group = shape.heads / shape.kv_heads;
  const std::vector<PromptTask> tasks = prompt_tasks(spans, shape, kBlockPairs * kPairRows);
  std::atomic<size_t> next{0};
  pool.run([&](int) {
    T::configure();
    for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < tasks.size();) {
      const PromptTask& task = tasks[i];
      TileBlock b = {.shape = shape,
                     .head = kv_head(task.span->cache, shape, task.kv_head),
                     .position = task.position(),
                     .tokens = task.tokens,
                     .group = group,
                     .rows = task.tokens * group};
      attend_tiles<T>(b, q + task.row() * q_stride + task.kv_head * group * dim, q_stride,
                      out + (task.row() * shape.heads + task.kv_head * group) * dim);
    }
    T::release();
  });
}
