// Linear layers for prompt tokens over floating weights by vdpbf16ps, which multiplies twice as much as FP32 does on some
// processors (Zen 4 and 5) and half as much on others. BF16 weights are read as they lie packed, others turned to BF16
// panels once per pass over the rows. Included inside namespace avx512 after linear_prompt_codes.inl and
// linear_bf16_pairs.inl.

constexpr int64_t kBf16PanelDepth = 1024;                // a panel of 3 strips is 96 KiB: L2
constexpr int64_t kBf16ChunkBytes = int64_t{1} << 19;    // input rows of one pass: L2

// In assembly: with the intrinsics g++ 12 copies every sum at the end of a loop and runs out of registers.
AQ_INLINE V dot_bf16(V sum, I w, I x) {
  __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
  return sum;
}

struct Bf16Tile {
  const std::byte* a;  // rows of pairs, [rows][stride a_row bytes]
  int64_t a_row;
  const std::byte* b;  // lines of strip 0; strip j lies b_strip bytes behind
  int64_t b_strip;
  int64_t pairs;
  float* c;  // [rows][kTileStrips · 16]
  bool first;  // c starts from zero
};

template <int rows, int strips>
void multiply_bf16(const Bf16Tile& t) {
  constexpr int64_t kRow = kTileStrips * 16;
  V sum[rows][strips];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < strips; ++j) sum[i][j] = t.first ? zero() : load(t.c + i * kRow + j * 16);
  const std::byte *a = t.a, *b = t.b;
  const int64_t row = t.a_row, strip = t.b_strip;
  for (const std::byte* end = a + t.pairs * 4; a < end; a += 4, b += kLine) {
    I w[strips];
#pragma GCC unroll 4
    for (int j = 0; j < strips; ++j) w[j] = line(b + j * strip);
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      const I x = set_i(base::load<int32_t>(a + i * row));
#pragma GCC unroll 4
      for (int j = 0; j < strips; ++j) sum[i][j] = dot_bf16(sum[i][j], w[j], x);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < strips; ++j) store(t.c + i * kRow + j * 16, sum[i][j]);
}

template <int rows, int strips>
void multiply_bf16_rows(int64_t wanted, const Bf16Tile& t) {
  if constexpr (rows > 1) {
    if (wanted < rows) return multiply_bf16_rows<rows - 1, strips>(wanted, t);
  }
  multiply_bf16<rows, strips>(t);
}

template <int strips = kTileStrips>
void multiply_bf16_tiles(int64_t rows, int64_t wanted_strips, Bf16Tile t) {
  if constexpr (strips > 1) {
    if (wanted_strips < strips) return multiply_bf16_tiles<strips - 1>(rows, wanted_strips, t);
  }
  for (int64_t row = 0; row < rows; row += kTileRows) {
    multiply_bf16_rows<kTileRows, strips>(std::min<int64_t>(kTileRows, rows - row), t);
    t.a += kTileRows * t.a_row;
    t.c += kTileRows * kTileStrips * 16;
  }
}

// Rounded input rows as pairs of BF16 with their scales.
struct Bf16Rows {
  std::byte* data;
  int64_t stride;  // bytes
  float* scales;
};

// A group of strips times the rows of one pass. sums is [rows][kTileStrips · 16].
inline void multiply_bf16_group(const Packed& w, const Block& b, int64_t strip, const Bf16Rows& x, int64_t rows,
                                std::byte* panel, float* sums, const Outputs& out) {
  constexpr int64_t kColumnBytes = 2 * kStrip;
  const int64_t strips = std::min<int64_t>(kTileStrips, b.strips - strip);
  const bool direct = b.form == Form::bf16;
  for (int64_t k = 0; k < w.depth; k += kBf16PanelDepth) {
    const int64_t depth = std::min(kBf16PanelDepth, w.depth - k);
    Bf16Tile t = {x.data + k * 2, x.stride, panel, kBf16PanelDepth * kColumnBytes, depth / 2, sums, k == 0};
    if (direct) {
      t.b = b.strip(strip) + b.lines_at(0) + k * kColumnBytes;
      t.b_strip = b.strip_bytes;
    } else {
      for (int64_t j = 0; j < strips; ++j)
        unpack_bf16_panel(b, b.strip(strip + j), k, depth, panel + j * kBf16PanelDepth * kColumnBytes);
    }
    multiply_bf16_tiles(rows, strips, t);
  }
  for (int64_t j = 0; j < strips; ++j) {
    const V scale = scale_after(b) ? load_scale(b, b.strip(strip + j), 0) : set(1.0f);
    const int64_t column = (strip + j) * kStrip;
    for (int64_t row = 0; row < rows; ++row)
      finish(out, row, b.first_row + column, b.rows - column, 1, mul(load(sums + (row * kTileStrips + j) * 16), scale));
  }
}

inline void linear_prompt_bf16(const Packed& w, const float* x, int64_t rows, const float* bias, bool accumulate,
                               float* y, int64_t y_row, base::ThreadPool& pool) {
  static thread_local Scratch row_scratch, scale_scratch;
  // A stride that is no multiple of 4 KiB: the rows of a tile must not fall into the same sets of the L1 cache.
  const int64_t stride = w.depth * 2 + kLine;
  const Bf16Rows all = {row_scratch.get<std::byte>(rows * stride), stride, scale_scratch.get<float>(rows)};
  pool.parallel_for(rows, kTileRows, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      all.scales[r] = bf16_row(w, x + r * w.in_features, 1, all.data + r * stride);
  });
  const int64_t chunk = base::round_up(std::max<int64_t>(1, kBf16ChunkBytes / stride), kTileRows);
  pool.parallel_for(count_groups(w), 1, [&](int64_t begin, int64_t end) {
    static thread_local Scratch panel_scratch, sum_scratch;
    std::byte* panel = panel_scratch.get<std::byte>(kTileStrips * kBf16PanelDepth * 2 * kStrip);
    float* sums = sum_scratch.get<float>(chunk * kTileStrips * 16);
    for (int64_t row = 0; row < rows; row += chunk) {
      const Bf16Rows input = {all.data + row * stride, stride, all.scales + row};
      const Outputs out = {y + row * y_row, y_row, input.scales, bias, accumulate};
      for_groups(w, begin, end, [&](const Block& b, int64_t strip) {
        if (!is_integer(b.form))
          multiply_bf16_group(w, b, strip, input, std::min(chunk, rows - row), panel, sums, out);
      });
    }
  });
}

inline void linear_bf16(const PackedMatrix& matrix, const float* x, int64_t rows, Phase phase, const float* bias,
                        bool accumulate, float* y, int64_t y_row, base::ThreadPool& pool) {
  const auto& w = static_cast<const Packed&>(matrix);
  const auto floating = [](const Block& b) { return !is_integer(b.form); };
  if (phase == Phase::decode || w.precision == Precision::fp32 || std::none_of(w.blocks.begin(), w.blocks.end(), floating))
    return set_of_kernels.linear(matrix, x, rows, phase, bias, accumulate, y, y_row, pool);
  linear_prompt_bf16(w, x, rows, bias, accumulate, y, y_row, pool);
  linear_prompt_codes<false>(w, x, rows, bias, accumulate, y, y_row, pool);
  linear_prompt_codes<true>(w, x, rows, bias, accumulate, y, y_row, pool);
  add_outliers(w, x, rows, y, y_row, pool);
}
