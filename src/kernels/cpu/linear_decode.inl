// Linear layers for generated tokens: every strip of weights is streamed once past a pass of rows. One sum per row and
// output, columns ascending, group by group: a row's bits do not depend on the other rows. Floating codes here,
// integer ones in linear_integer.inl. Included inside an instruction set's namespace.

// A line's columns, in units of kUnitOfFp8 when they are E4M3.
template <Form form>
AQ_INLINE void unpack(const std::byte* line, V (&w)[8]) {
  if constexpr (form == Form::f32) w[0] = load(reinterpret_cast<const float*>(line));
  if constexpr (form == Form::bf16) unpack_bf16(line, w);
  if constexpr (form == Form::fp8) unpack_fp8(line, w);
}

// out[s][r] = strip s · row r, scales applied.
template <Form form, int rows, int streams>
void stream_values(const Block& b, const std::byte* const* strips, const float* values, int64_t depth,
                   float (&out)[streams][rows][16]) {
  constexpr int64_t columns = run_columns(form);
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
    int64_t at = b.lines_at(g);
    const float* x = values + g * b.group;
    for (const float* end = x + b.group_columns(g); x < end; x += columns, at += kLine) {
#pragma GCC unroll 4
      for (int s = 0; s < streams; ++s) {
        V w[8];
        unpack<form>(strips[s] + at, w);
        prefetch(strips[s] + at + kPrefetchBytes);
#pragma GCC unroll 8
        for (int64_t k = 0; k < columns; ++k)
#pragma GCC unroll 8
          for (int r = 0; r < rows; ++r) part[s][r] = fma(w[k], set(x[r * depth + k]), part[s][r]);
      }
    }
#pragma GCC unroll 4
    for (int s = 0; s < streams; ++s) {
      if constexpr (form == Form::fp8) {
        const V scale = mul(load_scale(b, strips[s] + b.header_at(g), g), set(kUnitOfFp8));
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) total[s][r] = fma(scale, part[s][r], total[s][r]);
      } else {
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) total[s][r] = part[s][r];
      }
    }
  }
#pragma GCC unroll 4
  for (int s = 0; s < streams; ++s)
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) store(out[s][r], total[s][r]);
}

template <Form form>
void decode_form(const Block& b, StripRange range, int64_t rows, const float* values, int64_t depth,
                 const Outputs& out) {
  stream_rows(b, range, rows, out, [&](const std::byte* const* strips, auto& sums) {
    stream_values<form>(b, strips, values, depth, sums);
  });
}

inline void decode_values(const Block& b, StripRange range, int64_t rows, const float* values, int64_t depth,
                          const Outputs& out) {
  switch (b.form) {
    case Form::f32:
      return decode_form<Form::f32>(b, range, rows, values, depth, out);
    case Form::fp8:
      return decode_form<Form::fp8>(b, range, rows, values, depth, out);
    default:
      return decode_form<Form::bf16>(b, range, rows, values, depth, out);
  }
}

// The codes of one pass, made when a block first asks for them in this width and by this rule.
class PassCodes {
 public:
  PassCodes(const float* values, int64_t depth, int64_t rows) : values_(values), depth_(depth), rows_(rows) {}

  const Codes& get(Rule rule, bool wide) {
    if (made_ && rule == rule_ && wide == wide_) return codes_;
    static thread_local Scratch words, scales, sums;
    codes_ = {words.get<int32_t>(rows_ * depth_ / 2), scales.get<float>(rows_ * depth_ / kInputBlock),
              sums.get<int32_t>(rows_ * depth_ / kSumColumns), rows_};
    (wide ? code_rows<true> : code_rows<false>)(rule, values_, depth_, codes_);
    made_ = true, rule_ = rule, wide_ = wide;
    return codes_;
  }

 private:
  const float* values_;
  int64_t depth_, rows_;
  Codes codes_{};
  bool made_ = false, wide_ = false;
  Rule rule_{};
};

// Strips [begin, end) of the whole matrix for one pass of rows. Every thread rounds the input for itself: that costs
// less than a barrier.
inline void decode_pass(const Packed& w, const float* x, int64_t rows, int64_t begin, int64_t end, Outputs out) {
  static thread_local Scratch value_scratch;
  float* values = value_scratch.get<float>(rows * w.depth);
  float row_scales[kPassRows];
  for (int64_t r = 0; r < rows; ++r)
    row_scales[r] =
        round_row(w.input, w.precision, x + r * w.in_features, w.in_features, w.depth, values + r * w.depth);
  out.row_scales = row_scales;
  PassCodes codes(values, w.depth, rows);
  for (const Block& b : w.blocks) {
    const StripRange range = strips_of(b, begin, end);
    if (range.begin >= range.end) continue;
    if (!is_integer(b.form)) {
      decode_values(b, range, rows, values, w.depth, out);
      continue;
    }
    const Rule rule = rule_of(w, b);
    const bool wide = wide_inputs(b, rule);
    multiply_codes(b, range, wide, rows, block_inputs(b, rule, codes.get(rule, wide)), out);
  }
}

inline void linear_decode(const Packed& w, const float* x, int64_t rows, const float* bias, bool accumulate, float* y,
                          int64_t y_row, base::ThreadPool& pool) {
  pool.parallel_for(w.strips, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = 0; row < rows;) {
      int64_t pass = kPassRows;
      while (pass > rows - row) pass /= 2;
      const Outputs out = {y + row * y_row, y_row, nullptr, bias, accumulate};
      decode_pass(w, x + row * w.in_features, pass, begin, end, out);
      row += pass;
    }
  });
}
