// Linear layers for generated tokens: every strip of weights is streamed once past up to eight rows. One sum
// per row and output, columns ascending, group by group: a row's bits do not depend on the other rows.
// Included inside an instruction set's namespace.

constexpr int64_t kDecodeRows = 8;
constexpr int64_t kPrefetchBytes = 2048;  // ahead in each stream; measured best from DRAM and L3 on Xeon

template <Form form>
AQ_INLINE void unpack(const std::byte* line, V table, V (&w)[8]) {
  if constexpr (form == Form::f32) w[0] = load(reinterpret_cast<const float*>(line));
  if constexpr (form == Form::bf16) unpack_bf16(line, w);
  if constexpr (form == Form::int8) unpack_int8(line, w);
  if constexpr (form == Form::fp8) unpack_fp8(line, w);
  if constexpr (form == Form::codes4) unpack_codes4(line, table, w);
}

AQ_INLINE V load_scale(const Block& b, const std::byte* at) {
  if (b.scale_type == ScaleType::fp16) return load_fp16(at);
  if (b.scale_type == ScaleType::bf16) return load_bf16(reinterpret_cast<const uint16_t*>(at));
  return load(reinterpret_cast<const float*>(at));
}

// The rounded input rows of one pass and their sums over each group of the block at hand.
struct Inputs {
  const float* values;  // [rows][depth]
  int64_t depth;
  const float* sums;  // [rows][groups]
};

// out[s][r] = strip s · row r, scales and offsets applied. Results leave through memory and every loop over
// sums is unrolled, so that the sums live in registers.
template <Form form, int rows, int streams>
void stream_strips(const Block& b, const std::byte* const* strips, const Inputs& x,
                   float (&out)[streams][rows][16]) {
  constexpr int64_t columns = columns_per_line(form);
  constexpr bool scaled = form != Form::f32 && form != Form::bf16;
  const V table = load(b.table.data());
  const int64_t lines = b.group / columns;
  V total[streams][rows];
#pragma GCC unroll 4
  for (int s = 0; s < streams; ++s)
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) total[s][r] = zero();
  for (int64_t g = 0; g < b.groups; ++g) {
    V part[streams][rows];
#pragma GCC unroll 4
    for (int s = 0; s < streams; ++s)
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) part[s][r] = zero();
    for (int64_t l = 0; l < lines; ++l) {
      const int64_t at = (g * lines + l) * kLine;
      const float* values = x.values + (g * lines + l) * columns;
#pragma GCC unroll 4
      for (int s = 0; s < streams; ++s) {
        V w[8];
        unpack<form>(strips[s] + at, table, w);
        prefetch(strips[s] + at + kPrefetchBytes);
#pragma GCC unroll 8
        for (int64_t k = 0; k < columns; ++k)
#pragma GCC unroll 8
          for (int r = 0; r < rows; ++r) part[s][r] = fma(w[k], set(values[r * x.depth + k]), part[s][r]);
      }
    }
#pragma GCC unroll 4
    for (int s = 0; s < streams; ++s) {
      if constexpr (!scaled) {
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) total[s][r] = part[s][r];
        continue;
      }
      const V scale = load_scale(b, strips[s] + b.scales_at + g * b.scale_line());
      const V offset =
          b.offset == Offset::none ? zero() : load_scale(b, strips[s] + b.offsets_at + g * b.scale_line());
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        const V sum = b.offset == Offset::none ? zero() : set(x.sums[r * b.groups + g]);
        if (b.offset == Offset::zero_point) part[s][r] = fma(sub(zero(), offset), sum, part[s][r]);
        if (b.offset == Offset::minimum) total[s][r] = fma(offset, sum, total[s][r]);
        total[s][r] = fma(scale, part[s][r], total[s][r]);
      }
    }
  }
#pragma GCC unroll 4
  for (int s = 0; s < streams; ++s)
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) store(out[s][r], total[s][r]);
}

// Where results go: y[row][column] for the rows of one pass.
struct Outputs {
  float* y;
  int64_t stride;
  const float* row_scales;  // of the rounded inputs
  const float* bias;        // or null
  bool accumulate;
};

// Columns [column, column + n) of one row.
AQ_INLINE void finish(const Outputs& out, int64_t row, int64_t column, int64_t n, V result) {
  float* y = out.y + row * out.stride + column;
  result = mul(result, set(out.row_scales[row]));
  if (n >= 16) {
    if (out.bias) result = add(result, load(out.bias + column));
    if (out.accumulate) result = add(result, load(y));
    store(y, result);
  } else {
    if (out.bias) result = add(result, load_n(out.bias + column, n));
    if (out.accumulate) result = add(result, load_n(y, n));
    store_n(y, result, n);
  }
}

template <Form form, int rows, int streams>
void decode_strips(const Block& b, int64_t first, int64_t step, const Inputs& x, const Outputs& out) {
  const std::byte* strips[streams];
  for (int s = 0; s < streams; ++s) strips[s] = b.strip(first + s * step);
  alignas(64) float sums[streams][rows][16];
  stream_strips<form, rows, streams>(b, strips, x, sums);
  for (int s = 0; s < streams; ++s) {
    const int64_t row = (first + s * step) * kStrip;
    for (int r = 0; r < rows; ++r) finish(out, r, b.first_row + row, b.rows - row, load(sums[s][r]));
  }
}

// Strips [begin, end) of a block: several streams far apart hide the latency of memory and of the additions.
template <Form form, int rows>
void decode_range(const Block& b, int64_t begin, int64_t end, const Inputs& x, const Outputs& out) {
  constexpr bool plain = form == Form::f32 || form == Form::bf16;  // half the sums: more fit in registers
  constexpr int kStreams = rows <= 2 ? 4 : (plain ? 16 : 8) / rows;
  const int64_t step = (end - begin) / kStreams;
  for (int64_t i = 0; i < step; ++i) decode_strips<form, rows, kStreams>(b, begin + i, step, x, out);
  for (int64_t i = begin + step * kStreams; i < end; ++i) decode_strips<form, rows, 1>(b, i, 1, x, out);
}

template <int rows>
void decode_block(const Block& b, int64_t begin, int64_t end, const Inputs& x, const Outputs& out) {
  switch (b.form) {
    case Form::f32:
      return decode_range<Form::f32, rows>(b, begin, end, x, out);
    case Form::bf16:
      return decode_range<Form::bf16, rows>(b, begin, end, x, out);
    case Form::int8:
      return decode_range<Form::int8, rows>(b, begin, end, x, out);
    case Form::fp8:
      return decode_range<Form::fp8, rows>(b, begin, end, x, out);
    case Form::codes4:
      return decode_range<Form::codes4, rows>(b, begin, end, x, out);
  }
}

inline void sum_groups(const Block& b, const float* values, int64_t depth, int64_t rows, float* sums) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t g = 0; g < b.groups; ++g) {
      V total = zero();
      for (int64_t k = 0; k < b.group; k += 16)
        total = add(total, load(values + r * depth + g * b.group + k));
      sums[r * b.groups + g] = sum(total);
    }
}

// Strips [begin, end) of the whole matrix for `rows` (1, 2, 4 or 8) rows. Every thread rounds the input for
// itself: that costs less than a barrier.
inline void decode_pass(const Packed& w, const float* x, int64_t rows, int64_t begin, int64_t end,
                        Outputs out) {
  static thread_local Scratch value_scratch, sum_scratch;
  float* values = value_scratch.get<float>(rows * w.depth);
  float row_scales[kDecodeRows];
  for (int64_t r = 0; r < rows; ++r)
    row_scales[r] =
        round_row(w.input, w.precision, x + r * w.in_features, w.in_features, w.depth, values + r * w.depth);
  out.row_scales = row_scales;
  for (const Block& b : w.blocks) {
    const int64_t from = std::max<int64_t>(0, begin - b.first_strip),
                  to = std::min(b.strips, end - b.first_strip);
    if (from >= to) continue;
    float* sums = sum_scratch.get<float>(rows * b.groups);
    if (b.offset != Offset::none) sum_groups(b, values, w.depth, rows, sums);
    const Inputs inputs = {values, w.depth, sums};
    switch (rows) {
      case 1:
        decode_block<1>(b, from, to, inputs, out);
        break;
      case 2:
        decode_block<2>(b, from, to, inputs, out);
        break;
      case 4:
        decode_block<4>(b, from, to, inputs, out);
        break;
      default:
        decode_block<8>(b, from, to, inputs, out);
        break;
    }
  }
}

inline void linear_decode(const Packed& w, const float* x, int64_t rows, const float* bias, bool accumulate,
                          float* y, base::ThreadPool& pool) {
  pool.parallel_for(w.strips, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = 0; row < rows;) {
      const int64_t left = rows - row, pass = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
      const Outputs out = {y + row * w.out_features, w.out_features, nullptr, bias, accumulate};
      decode_pass(w, x + row * w.in_features, pass, begin, end, out);
      row += pass;
    }
  });
}
