// Attention of generated tokens: every key and value is read from memory once for all query heads of its key
// head. Positions are cut at multiples of kDecodeChunk; chunks are summed on their own, whoever has time, and
// joined in order, so the bits depend on the token's position only. Included inside an instruction set's
// namespace.

constexpr int64_t kDecodeChunk = 128;  // whole pieces
constexpr int kDecodeHeads = 4;        // query heads whose sums lie in registers together

struct DecodeRow {
  const AttentionSpan* span;
  int64_t row, position;
  int64_t first_chunk, chunks;
  int64_t first_task;  // kv_heads · chunks of them
};

// What a chunk leaves of one query head: Σ weight · v [width], the largest score, Σ weight.
struct Partial {
  float* sums;
  int64_t width;
  static int64_t stride(int64_t width) { return width + 16; }
  float& most() const { return sums[width]; }
  float& total() const { return sums[width + 1]; }
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
      prefetch(values + (p / kCodes<f> * value_lines + j) * kKvLine + 8192);
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

// Some query heads of one key head and one token against a chunk of positions [begin, end).
struct DecodeChunk {
  const KvHead& head;
  int64_t chunk, begin, end, exact_from;
  int64_t depth, width;  // head_dim in whole lanes and whole vectors
  const float* query;    // [heads][depth], rounded
  float* scores;         // [heads][kDecodeChunk]
  float* partials;       // [heads][Partial::stride(width)]

  // body(piece, its first position, one past its last)
  template <class Body>
  void for_pieces(Body body) const {
    for (int64_t p = begin / kPiece * kPiece; p < end; p += kPiece)
      body(head.piece(p, p >= exact_from), p, std::min(p + kPiece, end));
  }
};

// The scale of each key goes to its score; int4's scales of dimensions go to the query beforehand and its
// minima are one addend: q · (s c + m) = (q s) · c + q · m.
template <KvFormat f, int heads>
void score_piece(const DecodeChunk& c, const KvPiece& piece, int64_t first, int64_t end) {
  static thread_local Scratch scratch;
  const float* query = c.query;
  float* scores = c.scores + first - c.chunk;
  float addend[heads] = {};
  if constexpr (f == KvFormat::int4) {
    float* scales = scratch.get<float>(2 * c.width + heads * c.depth);
    float *minima = scales + c.width, *scaled = minima + c.width;
    read_pairs(piece.key_scales, c.width, scales, minima);
    std::fill(scaled, scaled + heads * c.depth, 0.0f);
    for (int h = 0; h < heads; ++h) {
      V offset = zero();
      by_vector(c.head.dim, [&](int64_t d, int64_t n) {
        const V q = load_n(query + h * c.depth + d, n);
        store_n(scaled + h * c.depth + d, mul(q, load_n(scales + d, n)), n);
        offset = fma(q, load_n(minima + d, n), offset);
      });
      addend[h] = sum(offset);
    }
    query = scaled;
  }
  const int64_t strips = base::ceil_div(end - first, int64_t{16});
  for (int64_t s = 0; s < strips;) {
    const std::byte* keys = piece.keys + s * piece.key_lines * kKvLine;
    const bool many = kAttendStrips > 1 && s + kAttendStrips <= strips;
    (many ? score_strips<f, heads, kAttendStrips> : score_strips<f, heads, 1>)(keys, piece.key_lines, query,
                                                                             c.depth, scores + 16 * s);
    s += many ? kAttendStrips : 1;
  }
  if constexpr (kScaled<f> || f == KvFormat::int4)
    for (int h = 0; h < heads; ++h)
      by_vector(end - first, [&](int64_t i, int64_t n) {
        float* at = scores + h * kDecodeChunk + i;
        if constexpr (kScaled<f>)
          store_n(at, mul(load_n(at, n), load_n(reinterpret_cast<const float*>(piece.key_scales) + i, n)), n);
        else
          store_n(at, add(load_n(at, n), set(addend[h])), n);
      });
}

// The scale of each value goes to its weight; int4's minima add Σ weight · minimum to every dimension.
template <KvFormat f, int heads>
void weigh_piece(const DecodeChunk& c, const KvPiece& piece, int64_t first, int64_t end) {
  float* weights = c.scores + first - c.chunk;
  const int64_t stride = Partial::stride(c.width);
  if constexpr (kScaled<f> || f == KvFormat::int4) {
    alignas(64) float scales[kPiece], minima[kPiece];
    if constexpr (kScaled<f>) std::memcpy(scales, piece.value_scales, static_cast<size_t>(end - first) * 4);
    if constexpr (f == KvFormat::int4) read_pairs(piece.value_scales, kPiece, scales, minima);
    for (int h = 0; h < heads; ++h) {
      V offset = zero();
      by_vector(end - first, [&](int64_t i, int64_t n) {
        float* at = weights + h * kDecodeChunk + i;
        const V weight = load_n(at, n);
        if constexpr (f == KvFormat::int4) offset = fma(weight, load(minima + i), offset);
        store_n(at, mul(weight, load_n(scales + i, n)), n);
      });
      if constexpr (f == KvFormat::int4)
        for (int64_t d = 0; d < c.width; d += 16) {
          float* at = c.partials + h * stride + d;
          store(at, add(load(at), set(sum(offset))));
        }
    }
  }
  for (int64_t j = 0; j < piece.value_lines;) {
    const bool many = kAttendStrips > 1 && j + kAttendStrips <= piece.value_lines;
    (many ? weigh_lines<f, heads, kAttendStrips> : weigh_lines<f, heads, 1>)(
        piece.values + j * kKvLine, piece.value_lines, end - first, weights, c.partials + 16 * j, stride);
    j += many ? kAttendStrips : 1;
  }
}

template <int heads>
void attend_heads(const DecodeChunk& c, float exponent_scale) {
  c.for_pieces([&](const KvPiece& piece, int64_t p, int64_t end) {
    with_form(piece.form, [&](auto form) { score_piece<form(), heads>(c, piece, p, end); });
  });
  for (int h = 0; h < heads; ++h) {
    float* scores = c.scores + h * kDecodeChunk;
    const Partial out = {c.partials + h * Partial::stride(c.width), c.width};
    std::fill(out.sums, out.sums + c.width, 0.0f);
    out.most() = largest_score(scores, c.begin - c.chunk, c.end - c.chunk, kNoScore);
    out.total() = soften(scores, c.begin - c.chunk, c.end - c.chunk, out.most(), exponent_scale);
    std::fill(scores, scores + c.begin - c.chunk, 0.0f);
  }
  c.for_pieces([&](const KvPiece& piece, int64_t p, int64_t end) {
    with_form(piece.form, [&](auto form) { weigh_piece<form(), heads>(c, piece, p, end); });
  });
}

// All query heads of one key head against one chunk.
inline void attend_chunk(const DecodeRow& row, const AttentionShape& shape, Precision precision, int64_t kv,
                         int64_t chunk, const float* q, float* partials) {
  static thread_local Scratch scratch;
  const KvHead head = kv_head(row.span->cache, shape, kv);
  const int64_t group = shape.heads / shape.kv_heads, dim = shape.head_dim;
  const int64_t depth = base::round_up(dim, 8), width = base::round_up(dim, 16);
  float* query = scratch.get<float>(kDecodeHeads * (depth + kDecodeChunk));
  const int64_t begin = chunk * kDecodeChunk;
  for (int64_t h = 0; h < group; h += kDecodeHeads) {
    const int64_t count = std::min<int64_t>(kDecodeHeads, group - h);
    std::fill(query, query + count * depth, 0.0f);
    for (int64_t i = 0; i < count; ++i) round_query(q + (h + i) * dim, dim, precision, query + i * depth);
    const DecodeChunk c = {head,
                           begin,
                           std::max(begin, first_visible(shape, row.position)),
                           std::min(begin + kDecodeChunk, row.position + 1),
                           kv_exact_from(row.position),
                           depth,
                           width,
                           query,
                           query + kDecodeHeads * depth,
                           partials + h * Partial::stride(width)};
    const auto attend =
        std::array{attend_heads<1>, attend_heads<2>, attend_heads<3>, attend_heads<4>}[static_cast<size_t>(
            count - 1)];
    attend(c, exponent_scale(shape));
  }
}

// out[head_dim] = Σ over chunks, ascending; `partials` are `step` floats apart.
inline void join_chunks(const float* partials, int64_t step, int64_t chunks, const AttentionShape& shape,
                        float* out) {
  const int64_t width = base::round_up(shape.head_dim, 16);
  const auto part = [&](int64_t i) { return Partial{const_cast<float*>(partials) + i * step, width}; };
  float most = kNoScore, total = 0;
  for (int64_t i = 0; i < chunks; ++i) most = std::max(most, part(i).most());
  static thread_local Scratch scratch;
  float* factors = scratch.get<float>(chunks);
  for (int64_t i = 0; i < chunks; ++i) {
    factors[i] = exp2_of((part(i).most() - most) * exponent_scale(shape));
    total += factors[i] * part(i).total();
  }
  by_vector(shape.head_dim, [&](int64_t d, int64_t n) {
    V sum = zero();
    for (int64_t i = 0; i < chunks; ++i) sum = fma(set(factors[i]), load(part(i).sums + d), sum);
    store_some(out + d, div(sum, set(total)), n);
  });
}

inline void attention_decode(std::span<const AttentionSpan> spans, const AttentionShape& shape,
                             Precision precision, const float* q, int64_t q_stride, float* out,
                             base::ThreadPool& pool) {
  static thread_local Scratch scratch;
  const int64_t group = shape.heads / shape.kv_heads;
  std::vector<DecodeRow> rows;
  int64_t tasks = 0;
  for (const AttentionSpan& span : spans)
    for (int64_t row = 0; row < span.rows; ++row) {
      const int64_t position = span.position + row;
      const int64_t first = first_visible(shape, position) / kDecodeChunk;
      const int64_t chunks = position / kDecodeChunk + 1 - first;
      rows.push_back({&span, span.first_row + row, position, first, chunks, tasks});
      tasks += chunks * shape.kv_heads;
    }
  // Partials are [task][query head of the group]; a key head's tasks follow each other.
  const int64_t stride = Partial::stride(base::round_up(shape.head_dim, 16)), step = group * stride;
  float* partials = scratch.get<float>(tasks * step);
  std::vector<std::atomic<int64_t>> left(rows.size() * static_cast<size_t>(shape.kv_heads));
  for (size_t i = 0; i < left.size(); ++i)
    left[i].store(rows[i / static_cast<size_t>(shape.kv_heads)].chunks, std::memory_order_relaxed);

  const auto run_task = [&](int64_t task) {
    const auto after = std::upper_bound(rows.begin(), rows.end(), task,
                                        [](int64_t t, const DecodeRow& r) { return t < r.first_task; });
    const DecodeRow& row = *(after - 1);
    const int64_t kv = (task - row.first_task) / row.chunks, first = row.first_task + kv * row.chunks;
    attend_chunk(row, shape, precision, kv, row.first_chunk + task - first,
                 q + row.row * q_stride + kv * group * shape.head_dim, partials + task * step);
    auto& waiting = left[static_cast<size_t>((after - 1 - rows.begin()) * shape.kv_heads + kv)];
    if (waiting.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
    for (int64_t h = 0; h < group; ++h)
      join_chunks(partials + first * step + h * stride, step, row.chunks, shape,
                  out + (row.row * shape.heads + kv * group + h) * shape.head_dim);
  };
  // Runs of tasks, so that each thread reads memory forwards.
  const int64_t run = std::max<int64_t>(1, tasks / (8 * pool.size()));
  std::atomic<int64_t> next{0};
  pool.run([&](int) {
    for (int64_t task; (task = next.fetch_add(run, std::memory_order_relaxed)) < tasks;)
      for (int64_t t = task; t < std::min(task + run, tasks); ++t) run_task(t);
  });
}

inline void attention(std::span<const AttentionSpan> spans, const AttentionShape& shape, Precision precision,
                      Phase phase, const float* q, int64_t q_stride, float* out, base::ThreadPool& pool) {
  AQ_CHECK(shape.heads % shape.kv_heads == 0 && shape.scale > 0);
  (phase == Phase::decode ? attention_decode : attention_prefill)(spans, shape, precision, q, q_stride, out,
                                                                  pool);
}
