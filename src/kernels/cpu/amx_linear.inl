// Prompt linears on AMX tiles: 2 × 2 tiles of sums, so four loads feed four products. Inputs are rounded to
// BF16 (or int8) and laid out tile by tile; weights are read as tiles from the packed lines when they are
// BF16 or meet int8 inputs, else turned to BF16 panels. A task is a chunk of rows times a group of strips,
// its columns in pieces: the inputs of a piece, a panel and the sums lie in the L2 cache. T is the tile unit
// or its model. Included inside namespace avx512 after linear_bf16_pairs.inl; what tiles do not do, the
// avx512 set does.
//
// In FP32 precision inputs that meet BF16 weights are sums of three BF16 parts, each what the ones before it
// left: 3 · 8 bits say all 24 of a float, and products with 8 bits are exact. FP32 weights, in three parts of
// their own, would take six products; FMA is faster.

constexpr int64_t kTileBytes = 1024, kTileRow = 64;
constexpr int64_t kPairRows = 32;               // of two tiles
constexpr int64_t kPairBytes = 2 * kTileBytes;  // of their inputs over kTileRow bytes of columns
constexpr int64_t kPairSums = 4 * kTileBytes;   // of two strips for them
constexpr int64_t kPieceSteps = 32;  // of kTileRow bytes of a row: BF16 panels of two strips take 64 KiB
constexpr int64_t kAmxChunkRows = 256, kGroupPairs = 8;  // inputs 512 KiB, sums 256 KiB
constexpr int kMostParts = 3;
constexpr int64_t kSplitPieceSteps = 16;  // where inputs have three parts: 768 KiB

// Inputs as tiles: [pairs of row tiles][columns in tiles][parts][2][16 rows][64 bytes], whole pairs with
// zeros behind.
struct TileRows {
  std::byte* data;
  int64_t steps;  // tiles that cover a row
  float* scales;
  int32_t* sums;  // of integer codes
  int parts = 1;
  int64_t step_bytes() const { return parts * kPairBytes; }
  std::byte* pair(int64_t row) const { return data + row / kPairRows * steps * step_bytes(); }
  std::byte* row(int64_t r) const { return pair(r) + r % kPairRows * kTileRow; }  // in its first tile
  TileRows from(int64_t row) const { return {pair(row), steps, scales + row, sums + row, parts}; }
};

// Two strips of a block; `strips` 1: the second one is not there.
struct StripPair {
  const Block* block;
  int64_t strip, strips;
};

template <class T, bool integer, bool two, int parts>
void multiply_pair(const std::byte* a, const std::byte* b0, const std::byte* b1, int64_t steps, std::byte* c,
                   bool first) {
  constexpr int64_t kSums = 2 * kTileRow;  // bytes of one row of sums
  constexpr int64_t kLower = 16 * kSums;
  if (first) {
    T::template zero<0>(), T::template zero<1>();
    if constexpr (two) T::template zero<2>(), T::template zero<3>();
  } else {
    T::template load<0>(c, kSums), T::template load<1>(c + kTileRow, kSums);
    if constexpr (two)
      T::template load<2>(c + kLower, kSums), T::template load<3>(c + kLower + kTileRow, kSums);
  }
  for (int64_t t = 0; t < steps; ++t, b0 += kTileBytes, b1 += kTileBytes) {
    T::template load<4>(b0, kTileRow);
    T::template load<5>(b1, kTileRow);
    for (int part = 0; part < parts; ++part, a += kPairBytes) {
      T::template load<6>(a, kTileRow);
      if constexpr (two) T::template load<7>(a + kTileBytes, kTileRow);
      for (int64_t i = 0; i < (two ? kPairBytes : kTileBytes); i += kLine) prefetch(a + parts * kPairBytes + i);
      if constexpr (integer) {
        T::template dot_int8<0, 6, 4>(), T::template dot_int8<1, 6, 5>();
        if constexpr (two) T::template dot_int8<2, 7, 4>(), T::template dot_int8<3, 7, 5>();
      } else {
        T::template dot_bf16<0, 6, 4>(), T::template dot_bf16<1, 6, 5>();
        if constexpr (two) T::template dot_bf16<2, 7, 4>(), T::template dot_bf16<3, 7, 5>();
      }
    }
  }
  T::template store<0>(c, kSums), T::template store<1>(c + kTileRow, kSums);
  if constexpr (two)
    T::template store<2>(c + kLower, kSums), T::template store<3>(c + kLower + kTileRow, kSums);
}

// For a pair of row tiles of which `rows` rows are there, in `parts` parts.
template <class T, bool integer>
auto pair_kernel(int64_t rows, int parts = 1) {
  if constexpr (!integer)
    if (parts == kMostParts)
      return rows > 16 ? multiply_pair<T, false, true, kMostParts> : multiply_pair<T, false, false, kMostParts>;
  return rows > 16 ? multiply_pair<T, integer, true, 1> : multiply_pair<T, integer, false, 1>;
}

template <bool integer>
bool tiles_as_packed(const Block& b) {
  return integer || b.form == Form::bf16;
}
// A strip's lines from tile `first` on, where they are tiles.
inline const std::byte* packed_tiles(const Block& b, int64_t strip, int64_t first) {
  return b.strip(strip) + b.lines_at(0) + first * kTileBytes;
}

// Asks for one of `parts` shares of the tiles of a pair whose weights are tiles as they lie.
inline void fetch_tiles(const StripPair& pair, int64_t first, int64_t steps, int64_t part, int64_t parts) {
  const int64_t share = base::ceil_div(steps * kTileBytes, parts);
  for (int64_t j = 0; j < pair.strips; ++j) {
    const std::byte* tiles = packed_tiles(*pair.block, pair.strip + j, first);
    for (int64_t i = part * share; i < (part + 1) * share; i += kLine) prefetch_far(tiles + i);
  }
}

// Asks for the lines that results of a pair of strips will be written to.
inline void fetch_results(const StripPair& pair, int64_t row, int64_t rows, const Outputs& out) {
  const float* y = out.y + pair.block->first_row + pair.strip * kStrip;
  for (int64_t r = row; r < rows; ++r)
    for (int64_t j = 0; j < pair.strips; ++j) __builtin_prefetch(y + r * out.stride + j * kStrip, 1);
}

// sums += the products over tiles [first, first + steps) of the columns, two strips times a chunk's rows.
// Between pairs of row tiles meanwhile(pair, pairs) brings near what comes next.
template <class T, bool integer, class Meanwhile>
void multiply_strips(const StripPair& pair, int64_t first, int64_t steps, const TileRows& x, int64_t rows,
                     std::byte* panel, std::byte* sums, Meanwhile meanwhile) {
  constexpr int64_t kColumns = integer ? 64 : 32;  // of a tile
  const Block& b = *pair.block;
  const std::byte* tiles[2];
  for (int64_t j = 0; j < 2; ++j) {
    const int64_t from = std::min(j, pair.strips - 1);  // a missing strip is computed twice and dropped
    std::byte* unpacked = panel + from * kPieceSteps * kTileBytes;
    tiles[j] = tiles_as_packed<integer>(b) ? packed_tiles(b, pair.strip + from, first) : unpacked;
    if (!tiles_as_packed<integer>(b) && j < pair.strips)
      unpack_bf16_panel(b, b.strip(pair.strip + j), first * kColumns, steps * kColumns, unpacked);
  }
  const int64_t row_pairs = base::ceil_div(rows, kPairRows);
  for (int64_t i = 0; i < row_pairs; ++i) {
    meanwhile(i, row_pairs);
    const auto multiply = pair_kernel<T, integer>(rows - i * kPairRows, x.parts);
    multiply(x.pair(i * kPairRows) + first * x.step_bytes(), tiles[0], tiles[1], steps, sums + i * kPairSums,
             first == 0);
  }
}

// What the sums of a chunk's rows and a group's strips become.
template <bool integer>
void finish_strips(std::span<const StripPair> group, const TileRows& x, int64_t rows, const std::byte* sums,
                   const Outputs& out) {
  const int64_t pair_sums = base::ceil_div(rows, kPairRows) * kPairSums;
  V scales[kGroupPairs][2];
  for (size_t i = 0; i < group.size(); ++i)
    for (int64_t j = 0; j < group[i].strips; ++j) {
      const Block& b = *group[i].block;
      scales[i][j] = scale_after(b) ? load_scale(b, b.strip(group[i].strip + j), 0) : set(1.0f);
    }
  for (int64_t row = 0; row < rows; ++row)
    for (size_t i = 0; i < group.size(); ++i)
      for (int64_t j = 0; j < group[i].strips; ++j) {
        const Block& b = *group[i].block;
        const int64_t column = (group[i].strip + j) * kStrip;
        const std::byte* at = sums + static_cast<int64_t>(i) * pair_sums + row * 2 * kTileRow + j * kTileRow;
        const V sum = integer ? _mm512_cvtepi32_ps(_mm512_sub_epi32(line(at), set_i(b.bias * x.sums[row])))
                              : load(reinterpret_cast<const float*>(at));
        finish(out, row, b.first_row + column, b.rows - column, 1, mul(sum, scales[i][j]));
      }
}

// One input row into its tiles.
template <bool integer>
void tile_row(const Packed& w, const float* x, int64_t row, const TileRows& out) {
  static thread_local Scratch scratch, line_scratch;
  std::byte* lines = line_scratch.get<std::byte>(out.parts * out.steps * kTileRow);
  if constexpr (integer) {
    float* values = scratch.get<float>(w.depth);
    out.scales[row] = round_row(w.input, w.precision, x, w.in_features, w.depth, values);
    out.sums[row] = 0;
    for (int64_t k = 0; k < w.depth; k += 16) {
      const I codes = nearest_i(load(values + k));
      bytes(codes, reinterpret_cast<int32_t*>(lines + k));
      out.sums[row] += sum_i(codes);
    }
  } else {
    out.scales[row] = bf16_row(w, x, out.parts, lines);
  }
  std::byte* tiles = out.row(row);
  for (int64_t t = 0; t < out.steps; ++t)
    for (int64_t i = 0; i < out.parts; ++i)
      store_line(tiles + (t * out.parts + i) * kPairBytes, line(lines + (i * out.steps + t) * kTileRow));
}

// Codes of both sides meet as bytes, and one scale covers a row of the weight.
inline bool bytes_on_tiles(const Packed& w, const Block& b) {
  return w.integer_inputs() && b.form == Form::bits8 && b.groups == 1 && b.offset == Offset::none;
}

// FP32 weights are left to FMA.
inline bool on_tiles(const Packed& w, const Block& b) {
  return w.precision != Precision::fp32 || b.form == Form::bf16;
}

template <bool integer>
TileRows tile_rows(const Packed& w, const float* x, int64_t rows, base::ThreadPool& pool) {
  static thread_local Scratch row_scratch, scale_scratch, sum_scratch;
  const int64_t padded = base::round_up(rows, kPairRows), steps = w.depth * (integer ? 1 : 2) / kTileRow;
  const int parts = w.precision == Precision::fp32 && !w.integer_inputs() ? kMostParts : 1;
  const TileRows tiles = {row_scratch.get<std::byte>(padded * parts * steps * kTileRow), steps,
                          scale_scratch.get<float>(rows), sum_scratch.get<int32_t>(rows), parts};
  pool.parallel_for(padded, kPairRows, [&](int64_t begin, int64_t end) {
    if (end > rows) std::memset(tiles.pair(end - 1), 0, static_cast<size_t>(steps * tiles.step_bytes()));
    for (int64_t r = begin; r < std::min(end, rows); ++r)
      tile_row<integer>(w, x + r * w.in_features, r, tiles);
  });
  return tiles;
}

// The parts whose codes go as bytes (`integer`), or the others that go to tiles.
template <class T, bool integer>
void linear_tiles(const Packed& w, const float* x, int64_t rows, const float* bias, bool accumulate, float* y,
                  int64_t y_row, base::ThreadPool& pool) {
  static thread_local std::vector<StripPair> pairs;
  pairs.clear();
  for (const Block& b : w.blocks)
    if (on_tiles(w, b) && bytes_on_tiles(w, b) == integer)
      for (int64_t strip = 0; strip < b.strips; strip += 2)
        pairs.push_back({&b, strip, std::min<int64_t>(2, b.strips - strip)});
  if (pairs.empty()) return;
  const TileRows all = tile_rows<integer>(w, x, rows, pool);
  const int64_t chunks = base::ceil_div(rows, kAmxChunkRows), count = static_cast<int64_t>(pairs.size());
  const int64_t group = std::clamp<int64_t>(count * chunks / (4 * pool.size()), 1, kGroupPairs);
  const int64_t groups = base::ceil_div(count, group);
  const int64_t piece = all.parts > 1 ? kSplitPieceSteps : kPieceSteps;
  std::atomic<int64_t> next{0};
  pool.run([&, list = pairs.data()](int) {
    static thread_local Scratch panel_scratch, sum_scratch;
    std::byte* panel = panel_scratch.get<std::byte>(2 * kPieceSteps * kTileBytes);
    std::byte* sums = sum_scratch.get<std::byte>(group * kAmxChunkRows / kPairRows * kPairSums);
    T::configure();
    for (int64_t task; (task = next.fetch_add(1, std::memory_order_relaxed)) < chunks * groups;) {
      const int64_t row = task / groups * kAmxChunkRows, here = std::min(kAmxChunkRows, rows - row);
      const int64_t first = task % groups * group;
      const std::span<const StripPair> mine(list + first,
                                            static_cast<size_t>(std::min(group, count - first)));
      const int64_t pair_sums = base::ceil_div(here, kPairRows) * kPairSums;
      const TileRows input = all.from(row);
      const Outputs out = {y + row * y_row, y_row, input.scales, bias, accumulate};
      for (int64_t k = 0; k < all.steps; k += piece)
        for (size_t i = 0; i < mine.size(); ++i) {
          const int64_t steps = std::min(piece, all.steps - k);
          const auto meanwhile = [&](int64_t part, int64_t parts) {
            if (i + 1 < mine.size() && tiles_as_packed<integer>(*mine[i + 1].block))
              fetch_tiles(mine[i + 1], k, steps, part, parts);
            if (k + steps == all.steps)
              fetch_results(mine[i], part * kPairRows, std::min(here, (part + 1) * kPairRows), out);
          };
          multiply_strips<T, integer>(mine[i], k, steps, input, here, panel,
                                      sums + static_cast<int64_t>(i) * pair_sums, meanwhile);
        }
      finish_strips<integer>(mine, input, here, sums, out);
    }
    T::release();
  });
}

template <class T>
void linear_amx(const PackedMatrix& matrix, const float* x, int64_t rows, Phase phase, const float* bias,
                bool accumulate, float* y, int64_t y_row, base::ThreadPool& pool) {
  const auto& w = static_cast<const Packed&>(matrix);
  if (phase == Phase::decode)
    return set_of_kernels.linear(matrix, x, rows, phase, bias, accumulate, y, y_row, pool);
  linear_tiles<T, true>(w, x, rows, bias, accumulate, y, y_row, pool);
  linear_tiles<T, false>(w, x, rows, bias, accumulate, y, y_row, pool);
  linear_prefill(
      w, [&](const Block& b) { return !on_tiles(w, b); }, x, rows, bias, accumulate, y, y_row, pool);
  add_outliers(w, x, rows, y, y_row, pool);
}
