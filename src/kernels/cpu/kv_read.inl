// Reading a cache of keys and values (kv_layout.h) as floats; included inside an instruction set's namespace.

// Positions are read in pieces that begin at multiples of kPiece: whole strips of keys, and in int4 a group,
// all of which is in one form for one token. Pieces of one page follow each other.
constexpr int64_t kPiece = kKvGroup;

template <KvFormat f>
constexpr int kCodes = f == KvFormat::fp32 ? 1 : f == KvFormat::bf16 ? 2 : f == KvFormat::int4 ? 8 : 4;

// x[i] = code i of every lane, without its scale, in units of kUnit<f>.
template <KvFormat f>
AQ_INLINE void unpack_line(const std::byte* line, V (&x)[8]) {
  if constexpr (f == KvFormat::fp32) x[0] = load(reinterpret_cast<const float*>(line));
  if constexpr (f == KvFormat::bf16) unpack_bf16(line, x);
  if constexpr (f == KvFormat::fp8_e4m3) unpack_fp8(line, x);
  if constexpr (f == KvFormat::int8) unpack_int8(line, x);
  if constexpr (f == KvFormat::int4) {
    alignas(64) static constexpr float kValues[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    unpack_codes4(line, load(kValues), x);
  }
}

template <KvFormat f>
constexpr bool kScaled = f == KvFormat::fp8_e4m3 || f == KvFormat::int8;
template <KvFormat f>
constexpr float kUnit = f == KvFormat::fp8_e4m3 ? kUnitOfFp8 : 1;
// Of codes of 8 bits: what unpacked ones are multiplied with, for 16 positions.
template <KvFormat f>
AQ_INLINE V load_scales(const std::byte* scales, int64_t position, int64_t n = 16) {
  return mul(load_n(reinterpret_cast<const float*>(scales) + position, n), set(kUnit<f>));
}

struct KvPiece {
  KvFormat form;  // of this piece: an int4 cache has bf16 ones too
  const std::byte *keys, *values;
  int64_t key_lines, value_lines;  // as in KvPlane
  const std::byte *key_scales, *value_scales;
};

// One head of a cache.
struct KvHead {
  KvBlocks blocks;
  int64_t dim;

  KvFormat format() const { return blocks.layout.format; }

  // The piece that begins at `position`; `exact`: as tokens that are near see it.
  KvPiece piece(int64_t position, bool exact) const {
    const KvLayout& layout = blocks.layout;
    const bool pairs = format() == KvFormat::int4, ring = exact && pairs;
    const auto [block, at] = blocks.at(position);
    const std::byte* data = ring ? blocks.rings : block;
    const KvPlane& plane = ring ? blocks.ring : layout.codes;
    const int64_t slot = ring ? position % blocks.recent : at;
    return {ring ? KvFormat::bf16 : format(),
            data + plane.key_strip(slot),
            data + plane.value_group(slot),
            plane.key_lines,
            plane.value_lines,
            block + (pairs ? layout.key_pairs(at) : layout.key_scales + at * 4),
            block + layout.value_scales + at * 4};
  }
};

inline KvHead kv_head(const KvView& cache, const AttentionShape& shape, int64_t head) {
  return {kv_blocks(cache, shape, head), shape.head_dim};
}

// body(constant of form) for the form of a piece.
template <class Body>
AQ_INLINE void with_form(KvFormat form, Body body) {
  const auto call = [&]<KvFormat f>() { body(std::integral_constant<KvFormat, f>()); };
  if (form == KvFormat::fp32) return call.template operator()<KvFormat::fp32>();
  if (form == KvFormat::bf16) return call.template operator()<KvFormat::bf16>();
  if (form == KvFormat::fp8_e4m3) return call.template operator()<KvFormat::fp8_e4m3>();
  if (form == KvFormat::int8) return call.template operator()<KvFormat::int8>();
  call.template operator()<KvFormat::int4>();
}

// Pairs (scale, minimum) of `count` dimensions or positions, a multiple of 16.
inline void read_pairs(const std::byte* pairs, int64_t count, float* scales, float* minima) {
  for (int64_t i = 0; i < count; i += 16) {
    V x[8];
    unpack_bf16(pairs + i * 4, x);
    store(scales + i, x[0]);
    store(minima + i, x[1]);
  }
}

// `strips` strips of keys as a panel [strip][depth][16 positions]; depth is head_dim in whole lanes.
template <KvFormat f>
void key_panel(const KvPiece& piece, int64_t strips, int64_t depth, float* panel) {
  static thread_local Scratch scratch;
  float *scales = nullptr, *minima = nullptr;
  if constexpr (f == KvFormat::int4) {
    const int64_t padded = base::round_up(depth, 16);
    scales = scratch.get<float>(2 * padded);
    minima = scales + padded;
    read_pairs(piece.key_scales, padded, scales, minima);
  }
  for (int64_t s = 0; s < strips; ++s) {
    const V scale = kScaled<f> ? load_scales<f>(piece.key_scales, 16 * s) : zero();
    for (int64_t line = 0; line < piece.key_lines; ++line) {
      V x[8];
      unpack_line<f>(piece.keys + (s * piece.key_lines + line) * kKvLine, x);
#pragma GCC unroll 8
      for (int i = 0; i < kCodes<f>; ++i) {
        const int64_t d = line * kCodes<f> + i;
        if constexpr (kScaled<f>) x[i] = mul(x[i], scale);
        if constexpr (f == KvFormat::int4) x[i] = fma(x[i], set(scales[d]), set(minima[d]));
        store(panel + (s * depth + d) * 16, x[i]);
      }
    }
  }
}

// The first `count` positions of values as a panel [position][width]; width is head_dim in whole vectors.
template <KvFormat f>
void value_panel(const KvPiece& piece, int64_t count, int64_t width, float* panel) {
  alignas(64) float scales[kPiece], minima[kPiece];
  if constexpr (kScaled<f>)
    by_vector(count, [&](int64_t i, int64_t n) { store(scales + i, load_scales<f>(piece.value_scales, i, n)); });
  if constexpr (f == KvFormat::int4) read_pairs(piece.value_scales, kPiece, scales, minima);
  for (int64_t p = 0; p < count; p += kCodes<f>)
    for (int64_t j = 0; j < piece.value_lines; ++j) {
      V x[8];
      unpack_line<f>(piece.values + (p / kCodes<f> * piece.value_lines + j) * kKvLine, x);
#pragma GCC unroll 8
      for (int64_t i = 0; i < kCodes<f>; ++i) {
        if (kCodes<f> > 1 && p + i >= count) break;
        if constexpr (kScaled<f>) x[i] = mul(x[i], set(scales[p + i]));
        if constexpr (f == KvFormat::int4) x[i] = fma(x[i], set(scales[p + i]), set(minima[p + i]));
        store(panel + (p + i) * width + 16 * j, x[i]);
      }
    }
}
