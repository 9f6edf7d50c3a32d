// Linear layers for prompt tokens over integer codes: the arithmetic of linear_integer.inl for many rows. Codes are
// unpacked once for all rows of a pass, to bytes or, `wide`, to pairs of 16 bits; sums are exact between two scales.
// vpdpwssd multiplies twice as much as FP32 does, vpdpbusd four times. Included inside namespace avx512.

constexpr int64_t kCodeChunkBytes = int64_t{1} << 20;  // input rows of one pass: L2

// Codes of rows: [rows][depth] bytes or 16-bit pairs, [rows][depth / kInputBlock] scales, [rows][depth / kSumColumns]
// sums.
struct RowCodes {
  std::byte* codes;
  int64_t stride;  // bytes
  float* scales;
  int32_t* sums;
  float* row_scales;
  int64_t depth;
  RowCodes from(int64_t row) const {
    return {codes + row * stride, stride, scales + row * depth / kInputBlock, sums + row * depth / kSumColumns,
            row_scales + row, depth};
  }
};

template <bool wide>
void code_row(const Packed& w, Rule rule, const float* x, const RowCodes& out) {
  static thread_local Scratch scratch;
  float* values = scratch.get<float>(w.depth);
  out.row_scales[0] = round_row(w.input, w.precision, x, w.in_features, w.depth, values);
  for (int64_t k = 0; k < w.depth; k += kInputBlock)
    out.scales[k / kInputBlock] = code_block(rule, values + k, [&](int64_t i, I codes) {
      auto* to = reinterpret_cast<int32_t*>(out.codes + (k + i) * (wide ? 2 : 1));
      wide ? pairs(codes, to) : bytes(codes, to);
      out.sums[(k + i) / kSumColumns] = sum_i(codes);
    });
}

// A strip's codes as lines of four columns, or of two.
template <Form form, bool look, bool wide>
void unpack_lines(const Block& b, const std::byte* strip, std::byte* out) {
  const Codebook book = codebook(b.integers);
  for (int64_t g = 0; g < b.groups; ++g) {
    const std::byte* run = strip + b.lines_at(g);
    for (int64_t left = b.group_columns(g); left > 0; left -= run_columns(form), run += run_lines(form) * kLine)
      each_eight<form>([&]<int step>() {
        each_word<wide ? 4 : 2>([&]<int i>() {
          if constexpr (wide)
            _mm512_store_si512(out, unpack_pair<form, look, step, i>(run, book));
          else
            _mm512_store_si512(out, unpack_bytes<form, step, i>(run));
          out += kLine;
        });
      });
  }
}

template <bool wide>
void unpack_lines(const Block& b, const std::byte* strip, std::byte* out) {
  switch (b.form) {
    case Form::bits4:
      return b.codebook ? unpack_lines<Form::bits4, true, true>(b, strip, out)
                        : unpack_lines<Form::bits4, false, wide>(b, strip, out);
    case Form::bits5:
      return unpack_lines<Form::bits5, false, wide>(b, strip, out);
    case Form::bits6:
      return unpack_lines<Form::bits6, false, wide>(b, strip, out);
    default:
      return unpack_lines<Form::bits8, false, wide>(b, strip, out);
  }
}

// Strips [strip, strip + strips) as the tile reads them.
struct CodePanel {
  const Block& block;
  int64_t strip;
  const std::byte* lines[kTileStrips];
  int64_t flush;
};

// totals[i][j] += scale · (Σ codes · inputs − bias · Σ inputs) over columns [begin, end), which one scale covers.
template <bool wide, int rows, int strips>
AQ_INLINE void add_flush(const CodePanel& p, const RowCodes& x, int64_t begin, int64_t end, const V (&scales)[strips],
                         float (&totals)[rows][strips][16]) {
  I sum[rows][strips];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
    const I start = set_i(-p.block.bias * sum_of(x.sums + i * x.depth / kSumColumns, begin, end, 1));
#pragma GCC unroll 4
    for (int j = 0; j < strips; ++j) sum[i][j] = start;
  }
  constexpr int64_t kColumns = wide ? 2 : 4;  // of a word
  for (int64_t word = begin / kColumns; word < end / kColumns; ++word) {
    I w[strips];
#pragma GCC unroll 4
    for (int j = 0; j < strips; ++j) w[j] = line(p.lines[j] + word * kLine);
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      const I codes = set_i(base::load<int32_t>(x.codes + i * x.stride + word * 4));
#pragma GCC unroll 4
      for (int j = 0; j < strips; ++j)
        sum[i][j] = wide ? dot16(sum[i][j], w[j], codes) : dot8<false>(sum[i][j], w[j], codes);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
    const V scale = set(x.scales[i * x.depth / kInputBlock + begin / kInputBlock]);
#pragma GCC unroll 4
    for (int j = 0; j < strips; ++j)
      store(totals[i][j], fma(to_float(sum[i][j]), mul(scale, scales[j]), load(totals[i][j])));
  }
}

// Offsets of a group: zero points and minima meet the sum of its inputs.
template <int rows, int strips>
void add_offsets(const CodePanel& p, const RowCodes& x, int64_t g, const V (&scales)[strips],
                 float (&totals)[rows][strips][16]) {
  const Block& b = p.block;
  const int64_t begin = g * b.group, end = begin + b.group_columns(g);
  V factors[strips];
  for (int j = 0; j < strips; ++j) {
    const V offset = load_offset(b, b.strip(p.strip + j) + b.header_at(g), g);
    factors[j] = b.offset == Offset::minimum ? offset : mul(sub(zero(), offset), scales[j]);
  }
  for (int i = 0; i < rows; ++i) {
    float inputs = 0;
    for (int64_t k = begin; k < end; k += kInputBlock)
      inputs += static_cast<float>(sum_of(x.sums + i * x.depth / kSumColumns, k, std::min(k + kInputBlock, end), 1)) *
                x.scales[i * x.depth / kInputBlock + k / kInputBlock];
    for (int j = 0; j < strips; ++j) store(totals[i][j], fma(factors[j], set(inputs), load(totals[i][j])));
  }
}

template <bool wide, int rows, int strips>
void multiply_tile(const CodePanel& p, const RowCodes& x, const Outputs& out) {
  const Block& b = p.block;
  alignas(64) float totals[rows][strips][16] = {};
  for (int64_t g = 0; g < b.groups; ++g) {
    V scales[strips];
#pragma GCC unroll 4
    for (int j = 0; j < strips; ++j) scales[j] = load_scale(b, b.strip(p.strip + j) + b.header_at(g), g);
    const int64_t begin = g * b.group, end = begin + b.group_columns(g);
    for (int64_t k = begin; k < end; k += p.flush)
      add_flush<wide, rows, strips>(p, x, k, std::min(k + p.flush, end), scales, totals);
    if (b.offset != Offset::none) add_offsets<rows, strips>(p, x, g, scales, totals);
  }
  for (int j = 0; j < strips; ++j) {
    const int64_t row = (p.strip + j) * kStrip;
    for (int i = 0; i < rows; ++i)
      finish(out, i, b.first_row + row, b.rows - row, b.unit, load(totals[i][j]));
  }
}

template <bool wide, int rows, int strips>
void multiply_tile_rows(int64_t wanted, const CodePanel& p, const RowCodes& x, const Outputs& out) {
  if constexpr (rows > 1) {
    if (wanted < rows) return multiply_tile_rows<wide, rows - 1, strips>(wanted, p, x, out);
  }
  multiply_tile<wide, rows, strips>(p, x, out);
}

template <bool wide, int strips = kTileStrips>
void multiply_panel(int64_t rows, int64_t wanted, const CodePanel& p, const RowCodes& x, const Outputs& all) {
  if constexpr (strips > 1) {
    if (wanted < strips) return multiply_panel<wide, strips - 1>(rows, wanted, p, x, all);
  }
  Outputs out = all;
  for (int64_t r = 0; r < rows; r += kTileRows) {
    out.y = all.y + r * all.stride;
    out.row_scales = all.row_scales + r;
    multiply_tile_rows<wide, kTileRows, strips>(std::min<int64_t>(kTileRows, rows - r), p, x.from(r), out);
  }
}

// A group of strips times the rows of one pass.
template <bool wide>
void multiply_group(const Block& b, Rule rule, int64_t strip, const RowCodes& x, int64_t rows, std::byte* panel,
                    const Outputs& out) {
  const int64_t strips = std::min<int64_t>(kTileStrips, b.strips - strip);
  CodePanel p = {b, strip, {}, flush_columns(b, rule)};
  for (int64_t j = 0; j < strips; ++j) {
    const bool direct = !wide && b.form == Form::bits8 && b.groups == 1;
    std::byte* unpacked = panel + j * b.depth * kStrip * (wide ? 2 : 1);
    if (!direct) unpack_lines<wide>(b, b.strip(strip + j), unpacked);
    p.lines[j] = direct ? b.strip(strip + j) + b.lines_at(0) : unpacked;
  }
  multiply_panel<wide>(rows, strips, p, x, out);
}

// Parts that meet inputs of this width; those of one matrix then share a rule too.
template <bool wide>
bool takes(const Packed& w, const Block& b) {
  return is_integer(b.form) && wide_inputs(b, rule_of(w, b)) == wide;
}

template <bool wide>
void linear_prompt_codes(const Packed& w, const float* x, int64_t rows, const float* bias, bool accumulate, float* y,
                         int64_t y_row, base::ThreadPool& pool) {
  const auto part =
      std::find_if(w.blocks.begin(), w.blocks.end(), [&](const Block& b) { return takes<wide>(w, b); });
  if (part == w.blocks.end()) return;
  const Rule rule = rule_of(w, *part);
  static thread_local Scratch code_scratch, scale_scratch, sum_scratch, row_scratch;
  // A stride that is no multiple of 4 KiB: the rows of a tile must not fall into the same sets of the L1 cache.
  const int64_t stride = w.depth * (wide ? 2 : 1) + kLine;
  const RowCodes codes = {code_scratch.get<std::byte>(rows * stride),
                          stride,
                          scale_scratch.get<float>(rows * w.depth / kInputBlock),
                          sum_scratch.get<int32_t>(rows * w.depth / kSumColumns),
                          row_scratch.get<float>(rows),
                          w.depth};
  pool.parallel_for(rows, kTileRows, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) code_row<wide>(w, rule, x + r * w.in_features, codes.from(r));
  });
  const int64_t chunk = base::round_up(std::max<int64_t>(1, kCodeChunkBytes / stride), kTileRows);
  pool.parallel_for(count_groups(w), 1, [&](int64_t begin, int64_t end) {
    static thread_local Scratch panel_scratch;
    std::byte* panel = panel_scratch.get<std::byte>(kTileStrips * w.depth * kStrip * (wide ? 2 : 1));
    for (int64_t row = 0; row < rows; row += chunk) {
      const RowCodes input = codes.from(row);
      const Outputs out = {y + row * y_row, y_row, input.row_scales, bias, accumulate};
      for_groups(w, begin, end, [&](const Block& b, int64_t strip) {
        if (takes<wide>(w, b)) multiply_group<wide>(b, rule, strip, input, std::min(chunk, rows - row), panel, out);
      });
    }
  });
}

inline void linear_any(const PackedMatrix& matrix, const float* x, int64_t rows, Phase phase, const float* bias,
                       bool accumulate, float* y, int64_t y_row, base::ThreadPool& pool) {
  const auto& w = static_cast<const Packed&>(matrix);
  if (phase == Phase::decode) return linear(matrix, x, rows, phase, bias, accumulate, y, y_row, pool);
  linear_prefill(w, [](const Block& b) { return !is_integer(b.form); }, x, rows, bias, accumulate, y, y_row, pool);
  linear_prompt_codes<false>(w, x, rows, bias, accumulate, y, y_row, pool);
  linear_prompt_codes<true>(w, x, rows, bias, accumulate, y, y_row, pool);
  add_outliers(w, x, rows, y, y_row, pool);
}
