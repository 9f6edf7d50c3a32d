// Linear layers for prompt tokens in FP32: panels of weights are turned to FP32 once and multiplied with all rows by
// register tiles. Included inside an instruction set's namespace.

constexpr int64_t kPanelDepth = 1024;               // a panel of 3 strips is 192 KiB: L2
constexpr int64_t kChunkFloats = int64_t{1} << 18;  // input rows of one pass: 1 MiB, L2

// Eight columns of a run as FP32: floating codes four or two lines at a time, integer ones with the bias taken off.
template <Form form, int step>
AQ_INLINE void unpack_eight(const Block& b, const std::byte* run, const Codebook& book, V table, V (&w)[8]) {
  if constexpr (form == Form::bits4) {
    unpack_codes4(run, table, w);
  } else {
    const V bias = set(static_cast<float>(b.bias));
    each_word<4>([&]<int i>() {
      constexpr int kFirst = i % 2 + i / 2 * 4;
      const I codes = unpack_pair<form, false, step, i>(run, book);
      w[kFirst] = sub(to_float(and_i(codes, 0xffff)), bias);
      w[kFirst + 2] = sub(to_float(right<16>(codes)), bias);
    });
  }
}

struct Affine {
  bool scaled;
  Offset offset;
  V scale, shift;
  AQ_INLINE V operator()(V w) const {
    if (offset == Offset::zero_point) w = sub(w, shift);
    if (scaled) w = mul(w, scale);
    return offset == Offset::minimum ? add(w, shift) : w;
  }
};

// Columns [begin, begin + depth) of one strip as FP32 [depth][16], exactly the hub's values (without scales when
// `scaled` is not set).
template <Form form>
void unpack_panel(const Block& b, const std::byte* strip, int64_t begin, int64_t depth, bool scaled, float* out) {
  const V table = load(b.table.data());
  const Codebook book = codebook(b.integers);
  for (int64_t k = begin; k < begin + depth;) {
    const int64_t g = k / b.group, end = std::min(begin + depth, (g + 1) * b.group);
    const std::byte* header = strip + b.header_at(g);
    scaled = scaled && b.scale_type != ScaleType::none;
    const Affine affine = {scaled, b.offset, scaled ? load_scale(b, header, g) : set(1.0f),
                           b.offset == Offset::none ? zero() : load_offset(b, header, g)};
    const std::byte* run = strip + b.lines_at(g) + bytes_of_columns(form, k - g * b.group);
    for (; k < end; k += run_columns(form), run += run_lines(form) * kLine) {
      V w[8];
      if constexpr (is_integer(form)) {
        each_eight<form>([&]<int step>() {
          unpack_eight<form, step>(b, run, book, table, w);
#pragma GCC unroll 8
          for (int i = 0; i < 8; ++i, out += 16) store(out, affine(w[i]));
        });
      } else {
        unpack<form>(run, w);
        const V unit = set(form == Form::fp8 ? kUnitOfFp8 : 1.0f);
        for (int i = 0; i < run_columns(form); ++i, out += 16) store(out, affine(mul(w[i], unit)));
      }
    }
  }
}

inline void unpack_panel(const Block& b, const std::byte* strip, int64_t begin, int64_t depth, bool scaled,
                         float* out) {
  switch (b.form) {
    case Form::f32:
      return unpack_panel<Form::f32>(b, strip, begin, depth, scaled, out);
    case Form::bf16:
      return unpack_panel<Form::bf16>(b, strip, begin, depth, scaled, out);
    case Form::fp8:
      return unpack_panel<Form::fp8>(b, strip, begin, depth, scaled, out);
    case Form::bits4:
      return unpack_panel<Form::bits4>(b, strip, begin, depth, scaled, out);
    case Form::bits5:
      return unpack_panel<Form::bits5>(b, strip, begin, depth, scaled, out);
    case Form::bits6:
      return unpack_panel<Form::bits6>(b, strip, begin, depth, scaled, out);
    case Form::bits8:
      return unpack_panel<Form::bits8>(b, strip, begin, depth, scaled, out);
  }
}

// Rounded input rows [rows][stride] with their scales.
struct RoundedRows {
  const float* values;
  int64_t stride;
  const float* scales;
};

// One group of strips times all rows of one pass. sums is [rows][kTileStrips · 16].
inline void multiply_group(const Packed& w, const Block& b, int64_t strip, const RoundedRows& x, int64_t rows,
                           float* panel, float* sums, const Outputs& out) {
  const int64_t strips = std::min<int64_t>(kTileStrips, b.strips - strip);
  for (int64_t k = 0; k < w.depth; k += kPanelDepth) {
    const int64_t depth = std::min(kPanelDepth, w.depth - k);
    TileArgs t = {x.values + k, x.stride, panel, 16, kPanelDepth * 16, depth, sums, kTileStrips * 16, k == 0};
    if (b.form == Form::f32) {
      t.b = reinterpret_cast<const float*>(b.strip(strip)) + k * 16;
      t.b_strip = b.strip_bytes / 4;
    } else {
      for (int64_t j = 0; j < strips; ++j)
        unpack_panel(b, b.strip(strip + j), k, depth, true, panel + j * kPanelDepth * 16);
    }
    tiles(rows, strips, t);
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < strips; ++j) {
      const int64_t row = (strip + j) * kStrip;
      finish(out, r, b.first_row + row, b.rows - row, 1, load(sums + (r * kTileStrips + j) * 16));
    }
}

// body(block, first strip) for the groups [begin, end) of kTileStrips strips, counted over all blocks.
template <class Body>
void for_groups(const Packed& w, int64_t begin, int64_t end, Body body) {
  int64_t before = 0;
  for (const Block& b : w.blocks) {
    const int64_t groups = base::ceil_div(b.strips, kTileStrips);
    for (int64_t g = std::max<int64_t>(0, begin - before); g < std::min(groups, end - before); ++g)
      body(b, g * kTileStrips);
    before += groups;
  }
}

inline int64_t count_groups(const Packed& w) {
  int64_t groups = 0;
  for (const Block& b : w.blocks) groups += base::ceil_div(b.strips, kTileStrips);
  return groups;
}

// Those parts for which wanted(block).
template <class Wanted>
void linear_prefill(const Packed& w, Wanted wanted, const float* x, int64_t rows, const float* bias, bool accumulate,
                    float* y, int64_t y_row, base::ThreadPool& pool) {
  if (std::none_of(w.blocks.begin(), w.blocks.end(), wanted)) return;
  static thread_local Scratch value_scratch, scale_scratch;
  float* values = value_scratch.get<float>(rows * w.depth);
  float* scales = scale_scratch.get<float>(rows);
  pool.parallel_for(rows, kTileRows, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      scales[r] = round_row(w.input, w.precision, x + r * w.in_features, w.in_features, w.depth,
                            values + r * w.depth);
  });
  const int64_t chunk =
      base::round_up(std::max<int64_t>(1, kChunkFloats / std::min(w.depth, kPanelDepth)), kTileRows);
  pool.parallel_for(count_groups(w), 1, [&](int64_t begin, int64_t end) {
    static thread_local Scratch panel_scratch, sum_scratch;
    float* panel = panel_scratch.get<float>(kTileStrips * kPanelDepth * 16);
    float* sums = sum_scratch.get<float>(chunk * kTileStrips * 16);
    for (int64_t row = 0; row < rows; row += chunk) {
      const RoundedRows input = {values + row * w.depth, w.depth, scales + row};
      const Outputs out = {y + row * y_row, y_row, input.scales, bias, accumulate};
      for_groups(w, begin, end, [&](const Block& b, int64_t strip) {
        if (wanted(b)) multiply_group(w, b, strip, input, std::min(chunk, rows - row), panel, sums, out);
      });
    }
  });
}
