// Linear layers for prompt tokens whose inputs are integers (a scheme's own, or int8 blocks) over integer codes, with
// vpdpbusd. Codes are unpacked to bytes once for all rows of a pass; sums are exact between two scales. Included inside
// namespace avx512.

constexpr int64_t kCodeChunkBytes = int64_t{1} << 20;  // input rows of one pass: L2

// Codes of rows: [rows][depth] bytes, [rows][depth / kInputBlock] scales, [rows][depth / kSumColumns] sums.
struct RowCodes {
  std::byte* bytes;
  float* scales;
  int32_t* sums;
  float* row_scales;
  int64_t depth;
  RowCodes from(int64_t row) const {
    return {bytes + row * depth, scales + row * depth / kInputBlock, sums + row * depth / kSumColumns,
            row_scales + row, depth};
  }
};

inline void code_row(const Packed& w, const float* x, const RowCodes& out) {
  static thread_local Scratch scratch;
  float* values = scratch.get<float>(w.depth);
  out.row_scales[0] = round_row(w.input, w.precision, x, w.in_features, w.depth, values);
  for (int64_t k = 0; k < w.depth; k += kInputBlock)
    out.scales[k / kInputBlock] = code_block(rule_of(w), values + k, [&](int64_t i, I codes) {
      bytes(codes, reinterpret_cast<int32_t*>(out.bytes + k + i));
      out.sums[(k + i) / kSumColumns] = sum_i(codes);
    });
}

// A strip's codes as lines of four columns.
template <Form form>
void unpack_lines(const Block& b, const std::byte* strip, std::byte* out) {
  for (int64_t g = 0; g < b.groups; ++g) {
    const std::byte* run = strip + b.lines_at(g);
    for (int64_t left = b.group_columns(g); left > 0; left -= run_columns(form), run += run_lines(form) * kLine)
      each_eight<form>([&]<int step>() {
        _mm512_store_si512(out, unpack_bytes<form, step, 0>(run));
        _mm512_store_si512(out + kLine, unpack_bytes<form, step, 1>(run));
        out += 2 * kLine;
      });
  }
}

inline void unpack_lines(const Block& b, const std::byte* strip, std::byte* out) {
  switch (b.form) {
    case Form::bits4:
      return unpack_lines<Form::bits4>(b, strip, out);
    case Form::bits5:
      return unpack_lines<Form::bits5>(b, strip, out);
    case Form::bits6:
      return unpack_lines<Form::bits6>(b, strip, out);
    default:
      return unpack_lines<Form::bits8>(b, strip, out);
  }
}

inline int32_t sum_of(const int32_t* sums, int64_t begin, int64_t end) {
  int32_t sum = 0;
  for (int64_t i = begin / kSumColumns; i < end / kSumColumns; ++i) sum += sums[i];
  return sum;
}

// Strips [strip, strip + strips) as the tile reads them.
struct CodePanel {
  const Block& block;
  int64_t strip;
  const std::byte* lines[kTileStrips];
  int64_t flush;
};

// totals[i][j] += scale · (Σ codes · inputs − bias · Σ inputs) over columns [begin, end), which one scale covers.
template <int rows, int strips>
AQ_INLINE void add_flush(const CodePanel& p, const RowCodes& x, int64_t begin, int64_t end, const V (&scales)[strips],
                         float (&totals)[rows][strips][16]) {
  I sum[rows][strips];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
    const I start = set_i(-p.block.bias * sum_of(x.sums + i * x.depth / kSumColumns, begin, end));
#pragma GCC unroll 4
    for (int j = 0; j < strips; ++j) sum[i][j] = start;
  }
  for (int64_t k = begin; k < end; k += 4) {
    I w[strips];
#pragma GCC unroll 4
    for (int j = 0; j < strips; ++j) w[j] = line(p.lines[j] + k * kStrip);
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      const auto* codes = reinterpret_cast<const int32_t*>(x.bytes + i * x.depth + k);
#pragma GCC unroll 4
      for (int j = 0; j < strips; ++j) sum[i][j] = dot8<false>(sum[i][j], w[j], codes);
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
      inputs += static_cast<float>(sum_of(x.sums + i * x.depth / kSumColumns, k, std::min(k + kInputBlock, end))) *
                x.scales[i * x.depth / kInputBlock + k / kInputBlock];
    for (int j = 0; j < strips; ++j) store(totals[i][j], fma(factors[j], set(inputs), load(totals[i][j])));
  }
}

template <int rows, int strips>
void multiply_tile(const CodePanel& p, const RowCodes& x, const Outputs& out) {
  const Block& b = p.block;
  alignas(64) float totals[rows][strips][16] = {};
  for (int64_t g = 0; g < b.groups; ++g) {
    V scales[strips];
#pragma GCC unroll 4
    for (int j = 0; j < strips; ++j) scales[j] = load_scale(b, b.strip(p.strip + j) + b.header_at(g), g);
    const int64_t begin = g * b.group, end = begin + b.group_columns(g);
    for (int64_t k = begin; k < end; k += p.flush)
      add_flush<rows, strips>(p, x, k, std::min(k + p.flush, end), scales, totals);
    if (b.offset != Offset::none) add_offsets<rows, strips>(p, x, g, scales, totals);
  }
  for (int j = 0; j < strips; ++j) {
    const int64_t row = (p.strip + j) * kStrip;
    for (int i = 0; i < rows; ++i)
      finish(out, i, b.first_row + row, b.rows - row, b.unit, load(totals[i][j]));
  }
}

template <int rows, int strips>
void multiply_tile_rows(int64_t wanted, const CodePanel& p, const RowCodes& x, const Outputs& out) {
  if constexpr (rows > 1) {
    if (wanted < rows) return multiply_tile_rows<rows - 1, strips>(wanted, p, x, out);
  }
  multiply_tile<rows, strips>(p, x, out);
}

template <int strips = kTileStrips>
void multiply_panel(int64_t rows, int64_t wanted, const CodePanel& p, const RowCodes& x, const Outputs& all) {
  if constexpr (strips > 1) {
    if (wanted < strips) return multiply_panel<strips - 1>(rows, wanted, p, x, all);
  }
  Outputs out = all;
  for (int64_t r = 0; r < rows; r += kTileRows) {
    out.y = all.y + r * all.stride;
    out.row_scales = all.row_scales + r;
    multiply_tile_rows<kTileRows, strips>(std::min<int64_t>(kTileRows, rows - r), p, x.from(r), out);
  }
}

// A group of strips times the rows of one pass.
inline void multiply_group(const Packed& w, const Block& b, int64_t strip, const RowCodes& x, int64_t rows,
                           std::byte* panel, const Outputs& out) {
  const int64_t strips = std::min<int64_t>(kTileStrips, b.strips - strip);
  CodePanel p = {b, strip, {}, flush_columns(b, rule_of(w))};
  for (int64_t j = 0; j < strips; ++j) {
    const bool direct = b.form == Form::bits8 && b.groups == 1;
    std::byte* unpacked = panel + j * w.depth * kStrip;
    if (!direct) unpack_lines(b, b.strip(strip + j), unpacked);
    p.lines[j] = direct ? b.strip(strip + j) + b.lines_at(0) : unpacked;
  }
  multiply_panel(rows, strips, p, x, out);
}

inline bool codes_meet_codes(const Packed& w) {
  const bool narrow = std::none_of(w.blocks.begin(), w.blocks.end(), [](const Block& b) { return b.codebook; });
  return w.all_integer() && narrow && rule_of(w) != Rule::fixed16;
}

inline void linear_prompt_codes(const Packed& w, const float* x, int64_t rows, const float* bias, bool accumulate,
                                float* y, base::ThreadPool& pool) {
  static thread_local Scratch byte_scratch, scale_scratch, sum_scratch, row_scratch;
  const RowCodes codes = {byte_scratch.get<std::byte>(rows * w.depth),
                          scale_scratch.get<float>(rows * w.depth / kInputBlock),
                          sum_scratch.get<int32_t>(rows * w.depth / kSumColumns), row_scratch.get<float>(rows),
                          w.depth};
  pool.parallel_for(rows, kTileRows, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) code_row(w, x + r * w.in_features, codes.from(r));
  });
  const int64_t chunk = base::round_up(std::max<int64_t>(1, kCodeChunkBytes / w.depth), kTileRows);
  pool.parallel_for(count_groups(w), 1, [&](int64_t begin, int64_t end) {
    static thread_local Scratch panel_scratch;
    std::byte* panel = panel_scratch.get<std::byte>(kTileStrips * w.depth * kStrip);
    for (int64_t row = 0; row < rows; row += chunk) {
      const RowCodes input = codes.from(row);
      const Outputs out = {y + row * w.out_features, w.out_features, input.row_scales, bias, accumulate};
      for_groups(w, begin, end, [&](const Block& b, int64_t strip) {
        multiply_group(w, b, strip, input, std::min(chunk, rows - row), panel, out);
      });
    }
  });
}

inline void linear_any(const PackedMatrix& matrix, const float* x, int64_t rows, Phase phase, const float* bias,
                       bool accumulate, float* y, base::ThreadPool& pool) {
  const auto& w = static_cast<const Packed&>(matrix);
  if (phase == Phase::prefill && codes_meet_codes(w))
    return linear_prompt_codes(w, x, rows, bias, accumulate, y, pool);
  linear(matrix, x, rows, phase, bias, accumulate, y, pool);
}
