// Generated tokens over integer codes: every strip is streamed past up to kPassRows rows, products summed exactly
// in 32 bits. Included inside an instruction set's namespace.

// Codes of at most seven bits fit vpmaddubsw; other sets than those with vpdpbusd multiply wide bytes as 16 bits.
template <Form form>
constexpr bool kNarrow = form != Form::bits8 || kBytesOfBits8;

// sum[s][r] += Σ codes · inputs over `runs` runs that start `at` bytes into each strip.
template <Form form, bool look, bool wide, int rows, int streams>
AQ_INLINE void add_runs(const std::byte* const* strips, int64_t at, int64_t runs, const Codebook& book,
                        const int32_t* words, I (&sum)[streams][rows]) {
  constexpr int64_t kRunBytes = run_lines(form) * kLine;
  constexpr int kWords = wide ? 4 : 2;  // of an eight
  constexpr bool kSmall = form != Form::bits8 || wide;
  for (; runs > 0; --runs, at += kRunBytes) {
#pragma GCC unroll 4
    for (int s = 0; s < streams; ++s)
#pragma GCC unroll 5
      for (int64_t l = 0; l < kRunBytes; l += kLine) prefetch(strips[s] + at + l + kPrefetchBytes);
    each_eight<form>([&]<int step>() {
      each_word<kWords>([&]<int i>() {
        I w[streams];
#pragma GCC unroll 4
        for (int s = 0; s < streams; ++s) {
          if constexpr (wide)
            w[s] = unpack_pair<form, look, step, i>(strips[s] + at, book);
          else
            w[s] = unpack_bytes<form, step, i>(strips[s] + at);
        }
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
          const I x = set_i(words[i * rows + r]);
#pragma GCC unroll 4
          for (int s = 0; s < streams; ++s)
            sum[s][r] = wide ? dot16(sum[s][r], w[s], x) : dot8<kSmall>(sum[s][r], w[s], x);
        }
      });
      words += kWords * rows;
    });
  }
}

// total += scale · part, with the offsets of group g.
template <int rows, int streams>
AQ_INLINE void add_group(const Block& b, const std::byte* const* strips, int64_t g, const float* inputs,
                         V (&part)[streams][rows], V (&total)[streams][rows]) {
#pragma GCC unroll 4
  for (int s = 0; s < streams; ++s) {
    const std::byte* header = strips[s] + b.header_at(g);
    const V scale = load_scale(b, header, g);
    const V offset = b.offset == Offset::none ? zero() : load_offset(b, header, g);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const V sum = b.offset == Offset::none ? zero() : set(inputs[g * rows + r]);
      if (b.offset == Offset::zero_point) part[s][r] = fma(sub(zero(), offset), sum, part[s][r]);
      if (b.offset == Offset::minimum) total[s][r] = fma(offset, sum, total[s][r]);
      total[s][r] = fma(scale, part[s][r], total[s][r]);
    }
  }
}

// out[s][r] = strip s · row r, scales and offsets applied. Results leave through memory and every loop over sums
// is unrolled, so that the sums live in registers.
template <Form form, bool look, bool wide, int rows, int streams>
void stream_codes(const Block& b, const std::byte* const* strips, const BlockInputs& x,
                  float (&out)[streams][rows][16]) {
  constexpr int64_t kWordColumns = wide ? 2 : 4;  // of a word
  const Codebook book = codebook(b.integers);
  V total[streams][rows];
#pragma GCC unroll 32
  for (int i = 0; i < streams * rows; ++i) total[i / rows][i % rows] = zero();
  int64_t flush = 0;
  for (int64_t g = 0; g < b.groups; ++g) {
    V part[streams][rows];
#pragma GCC unroll 32
    for (int i = 0; i < streams * rows; ++i) part[i / rows][i % rows] = zero();
    const int64_t columns = b.group_columns(g);
    for (int64_t k = 0; k < columns; k += x.flush, ++flush) {
      I sum[streams][rows];
#pragma GCC unroll 32
      for (int i = 0; i < streams * rows; ++i) sum[i / rows][i % rows] = set_i(x.starts[flush * rows + i % rows]);
      add_runs<form, look, wide, rows, streams>(strips, b.lines_at(g) + bytes_of_columns(form, k),
                                                std::min(columns - k, x.flush) / run_columns(form), book,
                                                x.words + (g * b.group + k) / kWordColumns * rows, sum);
#pragma GCC unroll 32
      for (int i = 0; i < streams * rows; ++i)
        part[i / rows][i % rows] = fma(to_float(sum[i / rows][i % rows]), set(x.scales[flush * rows + i % rows]),
                                       part[i / rows][i % rows]);
    }
    add_group<rows, streams>(b, strips, g, x.sums, part, total);
  }
#pragma GCC unroll 32
  for (int i = 0; i < streams * rows; ++i) store(out[i / rows][i % rows], total[i / rows][i % rows]);
}

template <Form form, bool look, bool wide>
void multiply_rows(const Block& b, StripRange range, int64_t rows, const BlockInputs& x, const Outputs& out) {
  stream_rows(b, range, rows, out, [&](const std::byte* const* strips, auto& sums) {
    stream_codes<form, look, wide>(b, strips, x, sums);
  });
}

template <Form form>
void multiply_form(const Block& b, StripRange range, bool wide, int64_t rows, const BlockInputs& x,
                   const Outputs& out) {
  if constexpr (form == Form::bits4)
    if (b.codebook) return multiply_rows<form, true, true>(b, range, rows, x, out);
  if constexpr (kNarrow<form>)
    if (!wide) return multiply_rows<form, false, false>(b, range, rows, x, out);
  multiply_rows<form, false, true>(b, range, rows, x, out);
}

inline void multiply_codes(const Block& b, StripRange range, bool wide, int64_t rows, const BlockInputs& x,
                           const Outputs& out) {
  switch (b.form) {
    case Form::bits4:
      return multiply_form<Form::bits4>(b, range, wide, rows, x, out);
    case Form::bits5:
      return multiply_form<Form::bits5>(b, range, wide, rows, x, out);
    case Form::bits6:
      return multiply_form<Form::bits6>(b, range, wide, rows, x, out);
    default:
      return multiply_form<Form::bits8>(b, range, wide, rows, x, out);
  }
}

// Codebooks are multiplied as 16-bit integers, whatever the inputs.
inline bool wide_inputs(const Block& b, Rule rule) {
  return rule == Rule::fixed16 || b.codebook || (b.form == Form::bits8 && !kBytesOfBits8);
}
