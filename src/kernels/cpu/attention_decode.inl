// Attention of generated tokens: every key and value is read from memory once for all query heads of its key
// head. Positions are cut at multiples of kDecodeChunk; chunks are summed on their own, whoever has time, and
// joined in order, so the bits depend on the token's position only. Included inside an instruction set's
// namespace.

struct DecodeRow {
  const AttentionSpan* span;
  int64_t row, position;
  int64_t first_chunk, chunks;
  int64_t first_task;  // kv_heads · chunks of them
};

template <int heads>
void attend_heads(const DecodeChunk& c, float exponent_scale) {
  c.for_pieces([&](const KvPiece& piece, int64_t p, int64_t end) {
    with_form(piece.form, [&](auto form) {
      if constexpr (kIntegerCodes<form()>)
        score_codes<form(), heads>(c, piece, p, end);
      else
        score_piece<form(), heads>(c, piece, p, end);
    });
  });
  const auto partial = [&](int h) { return Partial{c.partials + h * Partial::stride(c.width), c.width}; };
  for (int h = 0; h < heads; ++h)
    partial(h).most() =
        largest_score(c.scores + h * kDecodeChunk, c.begin - c.chunk, c.end - c.chunk, kNoScore);
  for (int h = 0; h < heads; ++h) {
    float* scores = c.scores + h * kDecodeChunk;
    const Partial out = partial(h);
    std::fill(out.sums, out.sums + c.width, 0.0f);
    out.total() = soften(scores, c.begin - c.chunk, c.end - c.chunk, out.most(), exponent_scale);
    std::fill(scores, scores + c.begin - c.chunk, 0.0f);
  }
  c.for_pieces([&](const KvPiece& piece, int64_t p, int64_t end) {
    with_form(piece.form, [&](auto form) {
      if constexpr (kIntegerCodes<form()>)
        weigh_codes<form(), heads>(c, piece, p, end);
      else
        weigh_piece<form(), heads>(c, piece, p, end);
    });
  });
}

// All query heads of one key head against one chunk.
inline void attend_chunk(const DecodeRow& row, const AttentionShape& shape, Precision precision, int64_t kv,
                         int64_t chunk, const float* q, float* partials) {
  static thread_local Scratch scratch;
  const KvHead head = kv_head(row.span->cache, shape, kv);
  const int64_t group = shape.heads / shape.kv_heads, dim = shape.head_dim;
  const int64_t width = base::round_up(dim, 16);
  float* query = scratch.get<float>(kDecodeHeads * (width + kDecodeChunk));
  const int64_t begin = chunk * kDecodeChunk;
  for (int64_t h = 0; h < group; h += kDecodeHeads) {
    const int64_t count = std::min<int64_t>(kDecodeHeads, group - h);
    std::fill(query, query + count * width, 0.0f);
    for (int64_t i = 0; i < count; ++i) round_query(q + (h + i) * dim, dim, precision, query + i * width);
    const DecodeChunk c = {head,
                           begin,
                           std::max(begin, first_visible(shape, row.position)),
                           std::min(begin + kDecodeChunk, row.position + 1),
                           kv_exact_from(row.position),
                           width,
                           query,
                           query + kDecodeHeads * width,
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
  for (int64_t i = 0; i < chunks; ++i) factors[i] = (part(i).most() - most) * exponent_scale(shape);
  by_vector(chunks, [&](int64_t i, int64_t n) { store_n(factors + i, exp2(load_n(factors + i, n)), n); });
  for (int64_t i = 0; i < chunks; ++i) total += factors[i] * part(i).total();
  by_vector(shape.head_dim, [&](int64_t d, int64_t n) {
    V sum = zero();
    for (int64_t i = 0; i < chunks; ++i) sum = fma(set(factors[i]), load(part(i).sums + d), sum);
    store_some(out + d, div(sum, set(total)), n);
  });
}

inline void attention_decode(const Spans& spans, const AttentionShape& shape, Precision precision, const float* q,
                             int64_t q_stride, float* out, base::ThreadPool& pool) {
  static thread_local Scratch scratch;
  const int64_t group = shape.heads / shape.kv_heads;
  std::vector<DecodeRow> rows;
  int64_t tasks = 0;
  for (const AttentionSpan& span : spans.list)
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

inline void attention(const Spans& spans, const AttentionShape& shape, Precision precision, Phase phase,
                      const float* q, int64_t q_stride, float* out, base::ThreadPool& pool) {
  AQ_CHECK(shape.heads % shape.kv_heads == 0 && shape.scale > 0);
  (phase == Phase::decode ? attention_decode : attention_prefill)(spans, shape, precision, q, q_stride, out,
                                                                  pool);
}
