// Attention of prompt tokens: a block of tokens times the query heads of one key head, positions in chunks
// with a running maximum (Milakov and Gimelshein, arXiv 1805.02867; Dao et al., arXiv 2205.14135). Chunks
// begin at multiples of kPrefillChunk and every sum is one chain with positions ascending, so a token's
// arithmetic depends on its position only. Included inside an instruction set's namespace.

constexpr int64_t kPrefillChunk = 512;
constexpr int64_t kBlockRows = 96;  // tokens · heads of a block: their scores of a chunk lie in the L2 cache

struct PrefillBlock {
  const AttentionShape& shape;
  KvHead head;
  int64_t position, tokens;  // of the first token; how many
  int64_t group, rows;       // query heads per key head; tokens · group, token-major
  int64_t depth, width;      // head_dim in whole lanes of keys (strides) and in whole vectors
  float *query = nullptr, *panel = nullptr, *scores = nullptr, *sums = nullptr, *most = nullptr,
        *total = nullptr, *kept = nullptr;

  static constexpr int64_t kScoreStride = kPrefillChunk + 16;  // not a multiple of a page, and room behind
  int64_t position_of(int64_t row) const { return position + row / group; }
  int64_t last_position() const { return position + tokens - 1; }
};

// Rows that see some of the positions [begin, end) in one form.
struct RowRange {
  int64_t begin, end;
  bool exact;
};

template <class Body>
void for_ranges(const PrefillBlock& b, int64_t begin, int64_t end, Body body) {
  const auto row_at = [&](int64_t position) {
    return std::clamp<int64_t>(position - b.position, 0, b.tokens) * b.group;
  };
  const int64_t first = row_at(begin);
  const int64_t last = b.shape.window > 0 ? std::max(first, row_at(end - 1 + b.shape.window)) : b.rows;
  // The first token for which this piece lies below kv_exact_from().
  const int64_t far = b.head.format() == KvFormat::int4
                          ? std::clamp(row_at(begin + kKvGroup + kKvExact - 1), first, last)
                          : last;
  if (first < far) body(RowRange{first, far, true});
  if (far < last) body(RowRange{far, last, false});
}

// body(row, rows, positions of [begin, end) that the last of these rows sees) for tiles of a range.
template <class Body>
void for_row_tiles(const PrefillBlock& b, const RowRange& range, int64_t begin, int64_t end, Body body) {
  for (int64_t row = range.begin; row < range.end; row += kAttendRows) {
    const int64_t rows = std::min<int64_t>(kAttendRows, range.end - row);
    body(row, rows, std::min(end, b.position_of(row + rows - 1) + 1) - begin);
  }
}

template <int strips = kAttendStrips>
void attend_tile(int64_t rows, int64_t wanted_strips, const TileArgs& t) {
  if constexpr (strips > 1) {
    if (wanted_strips < strips) return attend_tile<strips - 1>(rows, wanted_strips, t);
  }
  tile_of_rows<kAttendRows, strips>(rows, t);
}

// scores[row][position − chunk] = q · k for the positions [begin, end) of a piece.
inline void score_piece(const PrefillBlock& b, int64_t chunk, int64_t begin, int64_t end) {
  const int64_t strips = base::ceil_div(end - begin, int64_t{16});
  for_ranges(b, begin, end, [&](const RowRange& range) {
    const KvPiece piece = b.head.piece(begin, range.exact);
    with_form(piece.form, [&](auto form) { key_panel<form()>(piece, strips, b.depth, b.panel); });
    for_row_tiles(b, range, begin, end, [&](int64_t row, int64_t rows, int64_t seen) {
      for (int64_t s = 0; 16 * s < seen; s += kAttendStrips)
        attend_tile(rows, std::min<int64_t>(kAttendStrips, base::ceil_div(seen, int64_t{16}) - s),
                    {b.query + row * b.depth, b.depth, b.panel + s * b.depth * 16, 16, b.depth * 16,
                     b.shape.head_dim, b.scores + row * b.kScoreStride + begin - chunk + 16 * s, b.kScoreStride, true});
    });
  });
}

// sums[row] += Σ weight · v over the positions [begin, end) of a piece.
inline void add_piece(const PrefillBlock& b, int64_t chunk, int64_t begin, int64_t end) {
  for_ranges(b, begin, end, [&](const RowRange& range) {
    const KvPiece piece = b.head.piece(begin, range.exact);
    with_form(piece.form, [&](auto form) { value_panel<form()>(piece, end - begin, b.width, b.panel); });
    for_row_tiles(b, range, begin, end, [&](int64_t row, int64_t rows, int64_t seen) {
      for (int64_t d = 0; d < b.width; d += 16 * kAttendStrips)
        attend_tile(rows, std::min<int64_t>(kAttendStrips, (b.width - d) / 16),
                    {b.scores + row * b.kScoreStride + begin - chunk, b.kScoreStride, b.panel + d, b.width,
                     16, seen, b.sums + row * b.width + d, b.width, false});
    });
  });
}

// Turns the scores of the chunk [begin, end) into weights relative to each row's running maximum, and rescales
// what was summed before. Weights around the visible ones that add_piece() may meet become 0.
inline void soften_rows(const PrefillBlock& b, int64_t first, int64_t last, int64_t begin, int64_t end) {
  const float c = exponent_scale(b.shape);
  const auto for_rows = [&](auto body) {
    for (int64_t row = first; row < last; ++row) {
      const int64_t position = b.position_of(row);
      const int64_t from = std::clamp(first_visible(b.shape, position), begin, end) - begin;
      const int64_t to = std::clamp(position + 1, begin + from, end) - begin;
      body(row, b.scores + row * b.kScoreStride, from, to);
    }
  };
  for_rows([&](int64_t row, const float* scores, int64_t from, int64_t to) {
    const float most = largest_score(scores, from, to, b.most[row]);
    b.kept[row] = b.most[row] - most;
    b.most[row] = most;
  });
  by_vector(last - first, [&](int64_t i, int64_t n) {
    float* kept = b.kept + first + i;
    store_n(kept, exp2(mul(load_n(kept, n), set(c))), n);
  });
  for_rows([&](int64_t row, float* scores, int64_t from, int64_t to) {
    b.total[row] = b.total[row] * b.kept[row] + soften(scores, from, to, b.most[row], c);
    std::fill(scores, scores + from, 0.0f);
    store(scores + to, zero());  // a tile's last row sees at most kAttendRows − 1 positions more
    for (float *sums = b.sums + row * b.width, *behind = sums + b.width; sums < behind; sums += 16)
      store(sums, mul(load(sums), set(b.kept[row])));
  });
}

inline void attend_chunk(const PrefillBlock& b, int64_t begin, int64_t end) {
  const auto for_pieces = [&](auto body) {
    for (int64_t p = begin; p < end; p += kPiece) body(p, std::min(p + kPiece, end));
  };
  for_pieces([&](int64_t p, int64_t to) { score_piece(b, begin, p, to); });
  for_ranges(b, begin, end,
             [&](const RowRange& range) { soften_rows(b, range.begin, range.end, begin, end); });
  for_pieces([&](int64_t p, int64_t to) { add_piece(b, begin, p, to); });
}

inline void attend_block(PrefillBlock& b, Precision precision, const float* q, int64_t q_stride, float* out) {
  static thread_local Scratch scratch;
  const int64_t dim = b.shape.head_dim, panel = kPiece * std::max(b.depth, b.width);
  float* at = scratch.get<float>(b.rows * (b.depth + b.width + b.kScoreStride) + panel + 3 * b.rows + 96);
  const auto take = [&at](int64_t count) { return std::exchange(at, at + base::round_up(count, 16)); };
  b.panel = take(panel);
  b.query = take(b.rows * b.depth);
  b.sums = take(b.rows * b.width);
  b.scores = take(b.rows * b.kScoreStride);
  b.most = take(b.rows);
  b.total = take(b.rows);
  b.kept = take(b.rows);
  std::fill(b.sums, b.sums + b.rows * b.width, 0.0f);
  std::fill(b.most, b.most + b.rows, kNoScore);
  std::fill(b.total, b.total + b.rows, 0.0f);
  for (int64_t row = 0; row < b.rows; ++row)
    round_query(q + row / b.group * q_stride + row % b.group * dim, dim, precision, b.query + row * b.depth);
  const int64_t last = b.last_position() + 1;
  for (int64_t begin = first_visible(b.shape, b.position) / kPrefillChunk * kPrefillChunk; begin < last;
       begin += kPrefillChunk)
    attend_chunk(b, begin, std::min(begin + kPrefillChunk, last));
  for (int64_t row = 0; row < b.rows; ++row)
    by_vector(dim, [&](int64_t d, int64_t n) {
      float* to = out + (row / b.group * b.shape.heads + row % b.group) * dim;
      store_some(to + d, div(load(b.sums + row * b.width + d), set(b.total[row])), n);
    });
}

// Some tokens of a span and one key head.
struct PromptTask {
  const AttentionSpan* span;
  int64_t first, tokens, kv_head;
  int64_t position() const { return span->position + first; }
  int64_t row() const { return span->first_row + first; }
};

// Blocks of at most `rows` rows of queries, the longest first.
inline std::vector<PromptTask> prompt_tasks(const Spans& spans, const AttentionShape& shape, int64_t rows) {
  const int64_t block = std::max<int64_t>(1, rows / (shape.heads / shape.kv_heads));
  std::vector<PromptTask> tasks;
  for (const AttentionSpan& span : spans.list)
    for (int64_t first = 0; first < span.rows; first += block)
      for (int64_t head = 0; head < shape.kv_heads; ++head)
        tasks.push_back({&span, first, std::min(block, span.rows - first), head});
  const auto later = [](const PromptTask& a, const PromptTask& b) { return a.position() > b.position(); };
  std::sort(tasks.begin(), tasks.end(), later);  // later tokens see more
  return tasks;
}

inline void attention_prefill(const Spans& spans, const AttentionShape& shape, Precision precision, const float* q,
                              int64_t q_stride, float* out, base::ThreadPool& pool) {
  const int64_t dim = shape.head_dim, group = shape.heads / shape.kv_heads;
  const std::vector<PromptTask> tasks = prompt_tasks(spans, shape, kBlockRows);
  std::atomic<size_t> next{0};
  pool.run([&](int) {
    for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < tasks.size();) {
      const PromptTask& task = tasks[i];
      const KvHead head = kv_head(task.span->cache, shape, task.kv_head);
      PrefillBlock b = {.shape = shape,
                        .head = head,
                        .position = task.position(),
                        .tokens = task.tokens,
                        .group = group,
                        .rows = task.tokens * group,
                        .depth = base::round_up(dim, head.blocks.layout.codes.per_lane),
                        .width = base::round_up(dim, 16)};
      attend_block(b, precision, q + task.row() * q_stride + task.kv_head * group * dim, q_stride,
                   out + (task.row() * shape.heads + task.kv_head * group) * dim);
    }
  });
}
