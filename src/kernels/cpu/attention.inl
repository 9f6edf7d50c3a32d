// Attention over a cache [kv_heads][capacity][head_dim]; included inside an instruction set's namespace.

// One head's keys or values in either precision.
struct CacheRows {
  const void* data;
  int64_t dim;
  bool wide;  // FP32, otherwise BF16
  AQ_INLINE V get(int64_t position, int64_t i, int64_t n) const {
    const int64_t at = position * dim + i;
    if (wide) return load_some(static_cast<const float*>(data) + at, n);
    const auto* p = static_cast<const uint16_t*>(data) + at;
    return n == 16 ? load_bf16(p) : load_bf16_n(p, n);
  }
};

inline CacheRows cache_rows(const void* cache, int64_t kv_head, int64_t capacity, int64_t dim,
                            Precision precision) {
  const bool wide = precision == Precision::fp32;
  const int64_t bytes = kv_head * capacity * dim * (wide ? 4 : 2);
  return {static_cast<const std::byte*>(cache) + bytes, dim, wide};
}

inline void store_kv(const AttentionSpan& span, const AttentionShape& shape, Precision precision,
                     const float* k, const float* v, int64_t stride, base::ThreadPool& pool) {
  const int64_t dim = shape.head_dim;
  const auto put = [&](void* cache, int64_t at, const float* from) {
    by_vector(dim, [&](int64_t i, int64_t n) {
      const V x = load_some(from + i, n);
      if (precision == Precision::fp32)
        store_some(static_cast<float*>(cache) + at + i, x, n);
      else
        store_bf16_n(static_cast<uint16_t*>(cache) + at + i, x, n);
    });
  };
  pool.parallel_for(span.rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t head = 0; head < shape.kv_heads; ++head) {
        const int64_t from = (span.first_row + row) * stride + head * dim;
        const int64_t to = (head * span.cache.capacity + span.position + row) * dim;
        put(span.cache.keys, to, k + from);
        put(span.cache.values, to, v + from);
      }
  });
}

inline int64_t first_visible(const AttentionShape& shape, int64_t position) {
  return shape.window > 0 ? std::max<int64_t>(0, position - shape.window + 1) : 0;
}

AQ_INLINE V round_query(V q, Precision precision) { return precision == Precision::fp32 ? q : round_bf16(q); }

// ---- generated tokens: one head of one token at a time

// weights[i] = q · key(first + i) · scale for i < count; returns the largest.
inline float score_positions(const float* q, const CacheRows& keys, int64_t first, int64_t count, float scale,
                             float* weights) {
  float most = -std::numeric_limits<float>::max();
  for (int64_t i = 0; i < count; i += 16) {
    const int64_t n = std::min<int64_t>(16, count - i);
    V dots[16];
    for (int64_t p = 0; p < 16; ++p) {
      dots[p] = zero();
      if (p >= n) continue;
      by_vector(keys.dim, [&](int64_t d, int64_t m) {
        dots[p] = fma(load_some(q + d, m), keys.get(first + i + p, d, m), dots[p]);
      });
    }
    store(weights + i, mul(sums(dots), set(scale)));
    for (int64_t p = 0; p < n; ++p) most = std::max(most, weights[i + p]);
  }
  return most;
}

// out = Σ weights[i] · value(first + i) / total, 64 dimensions at a time.
inline void weigh_values(const float* weights, const CacheRows& values, int64_t first, int64_t count,
                         float total, float* out) {
  for (int64_t d = 0; d < values.dim; d += 64) {
    V sum[4] = {zero(), zero(), zero(), zero()};
    const int64_t width = std::min<int64_t>(64, values.dim - d);
    for (int64_t i = 0; i < count; ++i) {
      const V weight = set(weights[i]);
#pragma GCC unroll 4
      for (int64_t j = 0; j < 4; ++j)
        if (16 * j < width)
          sum[j] =
              fma(weight, values.get(first + i, d + 16 * j, std::min<int64_t>(16, width - 16 * j)), sum[j]);
    }
    by_vector(width, [&](int64_t j, int64_t n) { store_some(out + d + j, div(sum[j / 16], set(total)), n); });
  }
}

inline void attend_token(const AttentionSpan& span, const AttentionShape& shape, Precision precision,
                         int64_t head, int64_t position, const float* q, float* out) {
  static thread_local Scratch query_scratch, weight_scratch;
  const int64_t kv_head = head / (shape.heads / shape.kv_heads), dim = shape.head_dim;
  const int64_t first = first_visible(shape, position), count = position - first + 1;
  float* query = query_scratch.get<float>(dim);
  float* weights = weight_scratch.get<float>(base::round_up(count, 16));
  map_row(q, dim, query, [&](V v) { return round_query(v, precision); });
  const CacheRows keys = cache_rows(span.cache.keys, kv_head, span.cache.capacity, dim, precision);
  const CacheRows values = cache_rows(span.cache.values, kv_head, span.cache.capacity, dim, precision);
  const V most = set(score_positions(query, keys, first, count, shape.scale, weights));
  V total = zero();
  by_vector(count, [&](int64_t i, int64_t n) {
    store_n(weights + i, exp(sub(load(weights + i), most)), n);
    total = add(total, load_n(weights + i, n));
  });
  weigh_values(weights, values, first, count, sum(total), out);
}

inline void attention_decode(std::span<const AttentionSpan> spans, const AttentionShape& shape,
                             Precision precision, const float* q, int64_t q_stride, float* out,
                             base::ThreadPool& pool) {
  for (const AttentionSpan& span : spans) AQ_CHECK(span.rows >= 0 && shape.heads % shape.kv_heads == 0);
  std::atomic<int64_t> next{0};
  int64_t tasks = 0;
  for (const AttentionSpan& span : spans) tasks += span.rows * shape.heads;
  pool.run([&](int) {
    for (int64_t task; (task = next.fetch_add(1, std::memory_order_relaxed)) < tasks;) {
      int64_t row = task / shape.heads;
      const AttentionSpan* span = spans.data();
      while (row >= span->rows) row -= (span++)->rows;
      const int64_t head = task % shape.heads, at = span->first_row + row;
      attend_token(*span, shape, precision, head, span->position + row,
                   q + at * q_stride + head * shape.head_dim,
                   out + (at * shape.heads + head) * shape.head_dim);
    }
  });
}

// ---- prompt tokens: a block of tokens times the query heads of one key head, positions in fixed chunks with
// a running maximum (Milakov and Gimelshein, arXiv 1805.02867; Dao et al., arXiv 2205.14135). Chunks start at
// multiples of kChunk, so a token's arithmetic depends on its position only.

constexpr int64_t kChunk = 512;
constexpr int64_t kBlockTokens = 128;

struct PrefillBlock {
  const AttentionShape& shape;
  Precision precision;
  int64_t position, tokens;  // of the first token; how many
  int64_t group, rows;       // query heads per key head; tokens · group, token-major
  int64_t width;             // head_dim padded to 16
  CacheRows keys, values;
  float *query, *panel, *scores, *value_rows, *sums, *most, *total;
};

// Keys [begin, end) as a panel [strip][dim][16 positions].
inline void transpose_keys(const PrefillBlock& b, int64_t begin, int64_t end) {
  alignas(64) float lanes[16];
  for (int64_t p = begin; p < base::round_up(end - begin, 16) + begin; ++p) {
    float* to = b.panel + (p - begin) / 16 * b.width * 16 + (p - begin) % 16;
    by_vector(b.shape.head_dim, [&](int64_t d, int64_t n) {
      store(lanes, p < end ? b.keys.get(p, d, n) : zero());
      for (int64_t i = 0; i < n; ++i) to[(d + i) * 16] = lanes[i];
    });
  }
}

// Rows whose tokens see any of the positions [begin, end).
struct RowRange {
  int64_t begin, end;
};
inline RowRange rows_that_see(const PrefillBlock& b, int64_t begin, int64_t end) {
  const int64_t first = std::clamp<int64_t>(begin - b.position, 0, b.tokens);
  const int64_t last = b.shape.window > 0
                           ? std::clamp<int64_t>(end - 1 + b.shape.window - b.position, first, b.tokens)
                           : b.tokens;
  return {first * b.group, last * b.group};
}

// scores[row][position − begin] = q · k for the positions of one chunk.
inline void score_chunk(const PrefillBlock& b, int64_t begin, int64_t end) {
  constexpr int64_t kStep = kTileStrips * 16;
  for (int64_t p = begin; p < end; p += kStep) {
    const int64_t last = std::min(p + kStep, end);
    const RowRange range = rows_that_see(b, p, last);
    if (range.begin >= range.end) continue;
    transpose_keys(b, p, last);
    const TileArgs t = {b.query + range.begin * b.width,
                        b.width,
                        b.panel,
                        16,
                        b.width * 16,
                        b.shape.head_dim,
                        b.scores + range.begin * kChunk + p - begin,
                        kChunk,
                        true};
    tiles(range.end - range.begin, base::ceil_div(last - p, 16), t);
  }
}

// Turns a chunk's scores into weights relative to the running maximum and rescales what was summed before.
inline void soften_row(const PrefillBlock& b, int64_t row, int64_t begin, int64_t end) {
  const int64_t position = b.position + row / b.group;
  const int64_t from = std::clamp(first_visible(b.shape, position), begin, end) - begin;
  const int64_t to = std::clamp(position + 1, begin + from, end) - begin;
  float* scores = b.scores + row * kChunk;
  V most = set(b.most[row]);
  for (int64_t i = from; i < to; i += 16) {
    const int64_t n = std::min<int64_t>(16, to - i);
    const V scaled = mul(load_n(scores + i, n), set(b.shape.scale));
    store_n(scores + i, scaled, n);
    most = n == 16 ? max(most, scaled) : most;
    if (n < 16)
      for (int64_t j = i; j < to; ++j) most = max(most, set(scores[j]));
  }
  const float new_most = largest(most);
  V added = zero();
  for (int64_t i = from; i < to; i += 16) {
    const int64_t n = std::min<int64_t>(16, to - i);
    store_n(scores + i, exp(sub(load_n(scores + i, n), set(new_most))), n);
    added = add(added, load_n(scores + i, n));
  }
  std::fill(scores, scores + from, 0.0f);
  std::fill(scores + to, scores + base::round_up(end - begin, 16), 0.0f);
  alignas(64) float kept[16];
  store(kept, exp(set(b.most[row] - new_most)));
  b.total[row] = b.total[row] * kept[0] + sum(added);
  b.most[row] = new_most;
  if (kept[0] != 1.0f)
    for (int64_t d = 0; d < b.width; d += 16)
      store(b.sums + row * b.width + d, mul(load(b.sums + row * b.width + d), set(kept[0])));
}

inline void add_values(const PrefillBlock& b, int64_t begin, int64_t end) {
  const RowRange range = rows_that_see(b, begin, end);
  for (int64_t p = begin; p < end; ++p)
    by_vector(b.shape.head_dim, [&](int64_t d, int64_t n) {
      store(b.value_rows + (p - begin) * b.width + d, b.values.get(p, d, n));
    });
  for (int64_t row = range.begin; row < range.end; row += kTileRows) {
    const int64_t n = std::min<int64_t>(kTileRows, range.end - row);
    const int64_t sees = std::min(end, b.position + (row + n - 1) / b.group + 1) - begin;
    for (int64_t d = 0; d < b.width; d += kTileStrips * 16) {
      const TileArgs t = {b.scores + row * kChunk,
                          kChunk,
                          b.value_rows + d,
                          b.width,
                          16,
                          sees,
                          b.sums + row * b.width + d,
                          b.width,
                          false};
      tiles(n, std::min<int64_t>(kTileStrips, (b.width - d) / 16), t);
    }
  }
}

inline void attend_block(PrefillBlock& b, const float* q, int64_t q_stride, float* out) {
  static thread_local Scratch scratch;
  constexpr int64_t kKeyPanel = kTileStrips * 16;
  float* at = scratch.get<float>(b.rows * (2 * b.width + kChunk + 32) + (kKeyPanel + kChunk) * b.width);
  const auto take = [&at](int64_t count) { return std::exchange(at, at + base::round_up(count, 16)); };
  b.panel = take(kKeyPanel * b.width);
  b.value_rows = take(kChunk * b.width);
  b.query = take(b.rows * b.width);
  b.sums = take(b.rows * b.width);
  b.scores = take(b.rows * kChunk);
  b.most = take(b.rows);
  b.total = take(b.rows);
  const int64_t dim = b.shape.head_dim;
  for (int64_t row = 0; row < b.rows; ++row) {
    const float* from = q + row / b.group * q_stride + row % b.group * dim;
    map_row(from, dim, b.query + row * b.width, [&](V v) { return round_query(v, b.precision); });
  }
  std::fill(b.sums, b.sums + b.rows * b.width, 0.0f);
  std::fill(b.value_rows, b.value_rows + kChunk * b.width, 0.0f);
  std::fill(b.most, b.most + b.rows, -std::numeric_limits<float>::max());
  std::fill(b.total, b.total + b.rows, 0.0f);
  const int64_t last = b.position + b.tokens;
  for (int64_t begin = first_visible(b.shape, b.position) / kChunk * kChunk; begin < last; begin += kChunk) {
    const int64_t end = std::min(begin + kChunk, last);
    score_chunk(b, begin, end);
    const RowRange range = rows_that_see(b, begin, end);
    for (int64_t row = range.begin; row < range.end; ++row) soften_row(b, row, begin, end);
    add_values(b, begin, end);
  }
  for (int64_t row = 0; row < b.rows; ++row)
    by_vector(dim, [&](int64_t d, int64_t n) {
      float* to = out + (row / b.group * b.shape.heads + row % b.group) * dim;
      store_some(to + d, div(load(b.sums + row * b.width + d), set(b.total[row])), n);
    });
}

inline void attention_prefill(std::span<const AttentionSpan> spans, const AttentionShape& shape,
                              Precision precision, const float* q, int64_t q_stride, float* out,
                              base::ThreadPool& pool) {
  struct Task {
    const AttentionSpan* span;
    int64_t first, kv_head;
  };
  std::vector<Task> tasks;
  for (const AttentionSpan& span : spans)
    for (int64_t first = 0; first < span.rows; first += kBlockTokens)
      for (int64_t head = 0; head < shape.kv_heads; ++head) tasks.push_back({&span, first, head});
  const auto cost = [](const Task& t) { return t.span->position + t.first; };  // later tokens see more
  std::sort(tasks.begin(), tasks.end(),
                   [&](const Task& a, const Task& b) { return cost(a) > cost(b); });
  std::atomic<size_t> next{0};
  const int64_t dim = shape.head_dim, group = shape.heads / shape.kv_heads;
  pool.run([&](int) {
    for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < tasks.size();) {
      const auto [span, first, kv_head] = tasks[i];
      const int64_t tokens = std::min(kBlockTokens, span->rows - first), row = span->first_row + first;
      PrefillBlock b = {shape,
                        precision,
                        span->position + first,
                        tokens,
                        group,
                        tokens * group,
                        base::round_up(dim, 16),
                        cache_rows(span->cache.keys, kv_head, span->cache.capacity, dim, precision),
                        cache_rows(span->cache.values, kv_head, span->cache.capacity, dim, precision),
                        {},
                        {},
                        {},
                        {},
                        {},
                        {},
                        {}};
      const int64_t head = kv_head * group;
      attend_block(b, q + row * q_stride + head * dim, q_stride, out + (row * shape.heads + head) * dim);
    }
  });
}

inline void attention(std::span<const AttentionSpan> spans, const AttentionShape& shape, Precision precision,
                      Phase phase, const float* q, int64_t q_stride, float* out, base::ThreadPool& pool) {
  (phase == Phase::decode ? attention_decode : attention_prefill)(spans, shape, precision, q, q_stride, out,
                                                                  pool);
}
