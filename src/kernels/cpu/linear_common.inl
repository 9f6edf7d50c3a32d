// What all linear kernels share: scales, codes of packed lines, where results go. Included inside an instruction
// set's namespace.

constexpr int64_t kPrefetchBytes = 2048;  // ahead in each stream; measured best from DRAM and L3 on Xeon

AQ_INLINE V load_factor(ScaleType type, const std::byte* at) {
  if (type == ScaleType::fp16) return load_fp16(at);
  if (type == ScaleType::bf16) return load_bf16(reinterpret_cast<const uint16_t*>(at));
  return load(reinterpret_cast<const float*>(at));
}
// Of group g, whose header is given.
AQ_INLINE V load_scale(const Block& b, const std::byte* header, int64_t g) {
  const std::byte* at = header + b.scale_at(g % b.segment_groups);
  return b.scale_type == ScaleType::super ? mul(load_fp16(header), from_int8(at)) : load_factor(b.scale_type, at);
}
AQ_INLINE V load_offset(const Block& b, const std::byte* header, int64_t g) {
  const std::byte* at = header + b.offset_at(g % b.segment_groups);
  return b.scale_type == ScaleType::super ? mul(load_fp16(header + 32), from_int8(at)) : load_factor(b.scale_type, at);
}

// ---- codes: eight columns of a run at a time; `step` counts the eights of the run

// The high bits that a plane keeps for columns that `shift` names, where they belong above a nibble.
template <int shift>
AQ_INLINE I plane_bits(const std::byte* plane, uint32_t mask) {
  const I bits = line(plane);
  return and_i(shift >= 4 ? right<(shift >= 4 ? shift - 4 : 0)>(bits) : left<(shift < 4 ? 4 - shift : 0)>(bits), mask);
}

// Pair i of an eight as 16 bits: columns (0, 2), (1, 3), (4, 6), (5, 7).
template <Form form, bool look, int step, int i>
AQ_INLINE I unpack_pair(const std::byte* run, const Codebook& book) {
  constexpr int kOdd = i % 2, kUpper = i / 2;  // byte and half of the nibbles
  if constexpr (form == Form::bits8) return and_i(right<8 * kOdd>(line(run + kUpper * kLine)), 0x00ff00ff);
  const I v = right<8 * kOdd + 4 * kUpper>(line(run + step * kLine));
  if constexpr (look) return look_up(v, book);
  const I w = and_i(v, 0x000f000f);
  if constexpr (form == Form::bits5)
    return or_i(w, plane_bits<2 * step + kUpper + 8 * kOdd>(run + 4 * kLine, 0x00100010));
  if constexpr (form == Form::bits6)
    return or_i(w, plane_bits<4 * step + 2 * kUpper + 8 * kOdd>(run + 2 * kLine, 0x00300030));
  return w;
}

// Four columns as unsigned bytes: 0 … 3 or 4 … 7 of an eight.
template <Form form, int step, int i>
AQ_INLINE I unpack_bytes(const std::byte* run) {
  if constexpr (form == Form::bits8) return line(run + i * kLine);
  const I w = and_i(right<4 * i>(line(run + step * kLine)), 0x0f0f0f0f);
  if constexpr (form == Form::bits5) return or_i(w, plane_bits<2 * step + i>(run + 4 * kLine, 0x10101010));
  if constexpr (form == Form::bits6) return or_i(w, plane_bits<4 * step + 2 * i>(run + 2 * kLine, 0x30303030));
  return w;
}

// body.template operator()<step>() for the eights of a run.
template <Form form, int step = 0, class Body>
AQ_INLINE void each_eight(Body body) {
  body.template operator()<step>();
  if constexpr ((step + 1) * 8 < run_columns(form)) each_eight<form, step + 1>(body);
}

// body.template operator()<i>() for i < count.
template <int count, int i = 0, class Body>
AQ_INLINE void each_word(Body body) {
  body.template operator()<i>();
  if constexpr (i + 1 < count) each_word<count, i + 1>(body);
}

// ---- results

// y[row][column] for the rows of one pass.
struct Outputs {
  float* y;
  int64_t stride;
  const float* row_scales;  // of the rounded inputs
  const float* bias;        // or null
  bool accumulate;
};

// Columns [column, column + n) of one row; `unit` is the block's.
AQ_INLINE void finish(const Outputs& out, int64_t row, int64_t column, int64_t n, float unit, V result) {
  float* y = out.y + row * out.stride + column;
  result = mul(result, set(out.row_scales[row] * unit));
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

// Strips that a pass of `rows` streams side by side.
template <int rows>
constexpr int kStreamsOf = std::max(1, std::min(4, kPassSums / rows));

// The strips of a block that lie in [begin, end), counted over the whole matrix.
struct StripRange {
  int64_t begin, end;
};
inline StripRange strips_of(const Block& b, int64_t begin, int64_t end) {
  return {std::max<int64_t>(0, begin - b.first_strip), std::min(b.strips, end - b.first_strip)};
}

// ---- streaming: every strip of a range past one pass of rows
//
// multiply(strips, sums): sums[stream][row] of as many strips and rows as `sums` has, scales applied.

template <int rows, int streams, class Multiply>
void stream_strips(const Block& b, int64_t first, int64_t step, const Outputs& out, Multiply multiply) {
  const std::byte* strips[streams];
  for (int s = 0; s < streams; ++s) strips[s] = b.strip(first + s * step);
  alignas(64) float sums[streams][rows][16];
  multiply(strips, sums);
  for (int s = 0; s < streams; ++s) {
    const int64_t row = (first + s * step) * kStrip;
    for (int r = 0; r < rows; ++r) finish(out, r, b.first_row + row, b.rows - row, b.unit, load(sums[s][r]));
  }
}

// Several streams far apart hide the latency of memory, and of the products: each sum is one chain.
template <int rows, class Multiply>
void stream_range(const Block& b, StripRange range, const Outputs& out, Multiply multiply) {
  constexpr int kStreams = kStreamsOf<rows>;
  const int64_t step = (range.end - range.begin) / kStreams;
  for (int64_t i = 0; i < step; ++i) stream_strips<rows, kStreams>(b, range.begin + i, step, out, multiply);
  int64_t i = range.begin + step * kStreams;
  if constexpr (kStreams > 2)
    for (; i + 2 <= range.end; i += 2) stream_strips<rows, 2>(b, i, 1, out, multiply);
  for (; i < range.end; ++i) stream_strips<rows, 1>(b, i, 1, out, multiply);
}

template <class Multiply>
void stream_rows(const Block& b, StripRange range, int64_t rows, const Outputs& out, Multiply multiply) {
  if constexpr (kPassRows >= 8)
    if (rows == 8) return stream_range<8>(b, range, out, multiply);
  if (rows == 4) return stream_range<4>(b, range, out, multiply);
  if (rows == 2) return stream_range<2>(b, range, out, multiply);
  stream_range<1>(b, range, out, multiply);
}
