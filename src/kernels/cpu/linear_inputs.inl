// Inputs of integer products. Included inside an instruction set's namespace.
//
//   fixed16   block fixed point: 64 columns share s = max|x| / 32767, codes round(x / s), ties to even
//   fixed8    the same with 127
//   codes     the input scheme's own integers; one scale per row, applied to the results
//
// Products of codes are summed exactly in 32 bits over `flush` columns, then scaled in FP32; so results do not depend
// on the order of the products, and all ways of computing them give the same bits.

enum class Rule { fixed16, fixed8, codes };

constexpr int64_t kSumColumns = 16;  // of the sums kept: the smallest group of weights

// For one part of a matrix. Codebooks are not worth rounding inputs to int8: they cannot use the byte products. Inputs
// with a rounding of their own (E4M3) are not rounded to int8 on top of it.
inline Rule rule_of(const Packed& w, const Block& b) {
  if (w.integer_inputs()) return Rule::codes;
  return w.precision == Precision::int8 && !b.codebook && !w.input.format ? Rule::fixed8 : Rule::fixed16;
}

// Codes of the `rows` rows of a pass over generated tokens, interleaved.
struct Codes {
  int32_t* words;  // bytes or pairs of 16 bits, [eight columns][words][rows]
  float* scales;   // [depth / kInputBlock][rows]
  int32_t* sums;   // of the codes, [depth / kSumColumns][rows]
  int64_t rows;
};

// put(k, codes) for each 16 of x[count] as integers up to `range`, ties to even; returns their scale.
template <class Put>
AQ_INLINE float fixed_point(const float* x, int64_t count, float range, Put put) {
  V most = zero();
  for (int64_t k = 0; k < count; k += 16) most = max(most, abs(load(x + k)));
  const float m = largest(most);
  const V inverse = set(m > 0x1p-100f ? range / m : 0.0f);  // smaller ones count as zero: it must stay finite
  for (int64_t k = 0; k < count; k += 16) put(k, nearest_i(mul(load(x + k), inverse)));
  return m / range;
}

// One row's codes of a block of columns; returns the scale.
template <class Put>
AQ_INLINE float code_block(Rule rule, const float* x, Put put) {
  if (rule != Rule::codes) return fixed_point(x, kInputBlock, rule == Rule::fixed16 ? 32767.0f : 127.0f, put);
  for (int64_t k = 0; k < kInputBlock; k += 16) put(k, nearest_i(load(x + k)));
  return 1;
}

// Rows [0, rows) of x[rows][depth] as interleaved codes of `wide` words: 4 pairs or 2 quads for eight columns.
template <bool wide>
void code_rows(Rule rule, const float* x, int64_t depth, const Codes& out) {
  constexpr int64_t kWords = wide ? 8 : 4;  // of 16 columns
  alignas(64) int32_t words[8];
  for (int64_t r = 0; r < out.rows; ++r)
    for (int64_t block = 0; block < depth / kInputBlock; ++block)
      out.scales[block * out.rows + r] =
          code_block(rule, x + r * depth + block * kInputBlock, [&](int64_t k, I codes) {
            const int64_t sixteen = (block * kInputBlock + k) / 16;
            out.sums[sixteen * out.rows + r] = sum_i(codes);
            wide ? pairs(codes, words) : bytes(codes, words);
            for (int64_t i = 0; i < kWords; ++i) out.words[(sixteen * kWords + i) * out.rows + r] = words[i];
          });
}

// Columns whose products are summed in 32 bits before they meet a scale.
inline int64_t flush_columns(const Block& b, Rule rule) {
  constexpr int64_t kExact = 32768;  // 255 · 128 · 32768 < 2^31
  if (rule == Rule::codes) return std::min(b.group, kExact);
  const bool large = std::any_of(b.integers.begin(), b.integers.end(), [](int v) { return std::abs(v) > 1023; });
  return std::min(b.group, b.codebook && large ? kInputBlock / 2 : kInputBlock);  // 2047 · 32767 · 32 < 2^31
}

// Σ codes of columns [begin, end) of one row, whose sums are `step` apart.
inline int32_t sum_of(const int32_t* sums, int64_t begin, int64_t end, int64_t step) {
  int32_t sum = 0;
  for (int64_t i = begin / kSumColumns; i < end / kSumColumns; ++i) sum += sums[i * step];
  return sum;
}

// What a block needs of its inputs beside the codes: [flushes][rows] and [groups][rows].
struct BlockInputs {
  const int32_t* words;
  int64_t flush;          // columns
  const int32_t* starts;  // −bias · Σ codes of a flush
  const float* scales;    // of a flush
  const float* sums;      // Σ inputs of a group; null unless the block has offsets
};

inline BlockInputs block_inputs(const Block& b, Rule rule, const Codes& codes) {
  static thread_local Scratch start_scratch, scale_scratch, sum_scratch;
  const int64_t rows = codes.rows, flush = flush_columns(b, rule);
  const int64_t flushes = b.groups * base::ceil_div(b.group, flush);
  BlockInputs out = {codes.words, flush, nullptr, nullptr, nullptr};
  int32_t* starts = start_scratch.get<int32_t>(flushes * rows);
  float* scales = scale_scratch.get<float>(flushes * rows);
  float* sums = b.offset == Offset::none ? nullptr : sum_scratch.get<float>(b.groups * rows);
  int64_t f = 0;
  for (int64_t g = 0; g < b.groups; ++g) {
    if (sums) std::fill(sums + g * rows, sums + (g + 1) * rows, 0.0f);
    const int64_t end = g * b.group + b.group_columns(g);
    for (int64_t k = g * b.group; k < end; k += flush, ++f)
      for (int64_t r = 0; r < rows; ++r) {
        const int32_t sum = sum_of(codes.sums + r, k, std::min(k + flush, end), rows);
        starts[f * rows + r] = -b.bias * sum;
        scales[f * rows + r] = codes.scales[k / kInputBlock * rows + r];
        if (sums) sums[g * rows + r] += static_cast<float>(sum) * scales[f * rows + r];
      }
  }
  out.starts = starts, out.scales = scales, out.sums = sums;
  return out;
}
