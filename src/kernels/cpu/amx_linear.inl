// Prompt linears on AMX tiles: 2 × 2 tiles of sums, so four loads feed four products. Inputs are rounded to
// BF16 (or int8) row-major; weights are read as tiles from the packed lines when they are BF16 or meet int8
// inputs, else turned to BF16 panels once per pass over the rows. T is the tile unit or its model. Included
// inside namespace avx512 after linear_bf16_pairs.inl; what tiles do not do, the avx512 set does.

constexpr int64_t kTileBytes = 1024, kTileRow = 64;
constexpr int64_t kPairRows = 32;                     // of two tiles
constexpr int64_t kAmxPanelDepth = 2048;              // BF16 panel of two strips: 128 KiB, L2
constexpr int64_t kAmxChunkBytes = int64_t{1} << 20;  // input rows of one pass, L2

// Rows of the input as tiles are loaded from them: [rows][stride bytes], padded to whole tiles with zeros.
struct TileRows {
  const std::byte* data;
  int64_t stride;
  const float* scales;
  const int32_t* sums;  // of integer codes
};

template <class T, bool integer, bool two>
void multiply_pair(const std::byte* a, int64_t stride, const std::byte* b0, const std::byte* b1,
                   int64_t steps, std::byte* c, bool first) {
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
  for (int64_t t = 0; t < steps; ++t) {
    T::template load<4>(b0 + t * kTileBytes, kTileRow);
    T::template load<6>(a + t * kTileRow, stride);
    T::template load<5>(b1 + t * kTileBytes, kTileRow);
    if constexpr (two) T::template load<7>(a + 16 * stride + t * kTileRow, stride);
    if constexpr (integer) {
      T::template dot_int8<0, 6, 4>(), T::template dot_int8<1, 6, 5>();
      if constexpr (two) T::template dot_int8<2, 7, 4>(), T::template dot_int8<3, 7, 5>();
    } else {
      T::template dot_bf16<0, 6, 4>(), T::template dot_bf16<1, 6, 5>();
      if constexpr (two) T::template dot_bf16<2, 7, 4>(), T::template dot_bf16<3, 7, 5>();
    }
  }
  T::template store<0>(c, kSums), T::template store<1>(c + kTileRow, kSums);
  if constexpr (two)
    T::template store<2>(c + kLower, kSums), T::template store<3>(c + kLower + kTileRow, kSums);
}

// Two strips times all rows of one pass. sums is [pairs of row tiles][32][32].
template <class T, bool integer>
void multiply_strips(const Packed& w, const Block& b, int64_t strip, const TileRows& x, int64_t rows,
                     std::byte* panel, std::byte* sums, const Outputs& out) {
  constexpr int64_t kTileColumns = integer ? 64 : 32, kElement = integer ? 1 : 2, kPairSums = 4 * kTileBytes;
  const int64_t strips = std::min<int64_t>(2, b.strips - strip);
  const bool direct = integer || b.form == Form::bf16;
  for (int64_t k = 0; k < w.depth; k += kAmxPanelDepth) {
    const int64_t depth = std::min(kAmxPanelDepth, w.depth - k);
    const std::byte* tiles[2];
    for (int64_t j = 0; j < 2; ++j) {
      const int64_t from = std::min(j, strips - 1);  // a missing strip is computed twice and dropped
      std::byte* unpacked = panel + from * kAmxPanelDepth * 32;
      tiles[j] = direct ? b.strip(strip + from) + b.lines_at(0) + k / kTileColumns * kTileBytes : unpacked;
      if (!direct && j < strips) unpack_bf16_panel(b, b.strip(strip + j), k, depth, unpacked);
    }
    const int64_t steps = base::ceil_div(depth, kTileColumns);
    for (int64_t row = 0; row < rows; row += kPairRows) {
      const std::byte* a = x.data + row * x.stride + k * kElement;
      std::byte* c = sums + row / kPairRows * kPairSums;
      const auto multiply =
          rows - row > 16 ? multiply_pair<T, integer, true> : multiply_pair<T, integer, false>;
      multiply(a, x.stride, tiles[0], tiles[1], steps, c, k == 0);
    }
  }
  for (int64_t j = 0; j < strips; ++j) {
    const V scale = scale_after(b) ? load_scale(b, b.strip(strip + j), 0) : set(1.0f);
    const int64_t column = (strip + j) * kStrip;
    for (int64_t row = 0; row < rows; ++row) {
      const std::byte* at = sums + row * 2 * kTileRow + j * kTileRow;
      const V sum = integer ? _mm512_cvtepi32_ps(_mm512_sub_epi32(line(at), set_i(b.bias * x.sums[row])))
                            : load(reinterpret_cast<const float*>(at));
      finish(out, row, b.first_row + column, b.rows - column, 1, mul(sum, scale));
    }
  }
}

// One input row as tiles read it; returns its scale.
template <bool integer>
float tile_row(const Packed& w, const float* x, std::byte* out, int32_t& sum) {
  if constexpr (!integer) return bf16_row(w, x, out);
  static thread_local Scratch scratch;
  float* values = scratch.get<float>(w.depth);
  const float scale = round_row(w.input, w.precision, x, w.in_features, w.depth, values);
  sum = 0;
  for (int64_t k = 0; k < w.depth; k += 16) {
    const I codes = nearest_i(load(values + k));
    bytes(codes, reinterpret_cast<int32_t*>(out + k));
    sum += sum_i(codes);
  }
  return scale;
}

// Codes of both sides meet as bytes, and one scale covers a row of the weight.
inline bool bytes_on_tiles(const Packed& w, const Block& b) {
  return w.integer_inputs() && b.form == Form::bits8 && b.groups == 1 && b.offset == Offset::none;
}

// The parts whose codes go as bytes (`integer`), or the others.
template <class T, bool integer>
void linear_tiles(const Packed& w, const float* x, int64_t rows, const float* bias, bool accumulate, float* y,
                  int64_t y_row, base::ThreadPool& pool) {
  const auto takes = [&](const Block& b) { return bytes_on_tiles(w, b) == integer; };
  if (std::none_of(w.blocks.begin(), w.blocks.end(), takes)) return;
  static thread_local Scratch row_scratch, scale_scratch, sums_of_rows;
  // A stride that is no multiple of 4 KiB: 16 rows of a tile must not fall into the same sets of the L1
  // cache.
  const int64_t stride = w.depth * (integer ? 1 : 2) + kTileRow;
  const int64_t padded = base::round_up(rows, kPairRows);
  std::byte* data = row_scratch.get<std::byte>(padded * stride);
  float* scales = scale_scratch.get<float>(rows);
  int32_t* row_sums = sums_of_rows.get<int32_t>(rows);
  pool.parallel_for(padded, kPairRows, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < std::min(end, rows); ++r)
      scales[r] = tile_row<integer>(w, x + r * w.in_features, data + r * stride, row_sums[r]);
    if (end > rows) std::memset(data + rows * stride, 0, static_cast<size_t>((end - rows) * stride));
  });
  const int64_t chunk = base::round_up(std::max<int64_t>(1, kAmxChunkBytes / stride), kPairRows);
  int64_t pairs = 0;
  for (const Block& b : w.blocks) pairs += base::ceil_div(b.strips, 2);
  pool.parallel_for(pairs, 1, [&](int64_t begin, int64_t end) {
    static thread_local Scratch panel_scratch, sum_scratch;
    std::byte* panel = panel_scratch.get<std::byte>(2 * kAmxPanelDepth * 32);
    std::byte* sums = sum_scratch.get<std::byte>(std::min(chunk, padded) * 2 * kTileRow);
    T::configure();
    for (int64_t row = 0; row < rows; row += chunk) {
      const TileRows input = {data + row * stride, stride, scales + row, row_sums + row};
      const Outputs out = {y + row * y_row, y_row, input.scales, bias, accumulate};
      int64_t before = 0;
      for (const Block& b : w.blocks) {
        const int64_t here = base::ceil_div(b.strips, 2), last = takes(b) ? std::min(here, end - before) : 0;
        for (int64_t i = std::max<int64_t>(0, begin - before); i < last; ++i)
          multiply_strips<T, integer>(w, b, 2 * i, input, std::min(chunk, rows - row), panel, sums, out);
        before += here;
      }
    }
    T::release();
  });
}

template <class T>
void linear_amx(const PackedMatrix& matrix, const float* x, int64_t rows, Phase phase, const float* bias,
                bool accumulate, float* y, int64_t y_row, base::ThreadPool& pool) {
  const auto& w = static_cast<const Packed&>(matrix);
  if (phase == Phase::decode || w.precision == Precision::fp32)
    return set_of_kernels.linear(matrix, x, rows, phase, bias, accumulate, y, y_row, pool);
  linear_tiles<T, true>(w, x, rows, bias, accumulate, y, y_row, pool);
  linear_tiles<T, false>(w, x, rows, bias, accumulate, y, y_row, pool);
  add_outliers(w, x, rows, y, y_row, pool);
}
