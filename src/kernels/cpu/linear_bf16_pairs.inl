// Weights and inputs of prompts as pairs of BF16, for units that multiply those. Included inside namespace avx512 after
// generic.inl.

// Codes of a whole row under one scale go to the unit as they are (exact in BF16), the scale to the sums.
inline bool scale_after(const Block& b) {
  return b.scale_type != ScaleType::none && b.groups == 1 && b.offset == Offset::none && !b.codebook;
}

// A line of two BF16 a lane: the upper halves of `low` and `high`.
AQ_INLINE __m512i pair_line(__m512i low, __m512i high) {
  return _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(low, 16), high);
}

// Columns [begin, begin + depth) of a strip as lines of 16 rows × 2 columns.
inline void unpack_bf16_panel(const Block& b, const std::byte* strip, int64_t begin, int64_t depth, std::byte* out) {
  alignas(64) float values[kDepthUnit * 16];
  for (int64_t k = begin; k < begin + depth; k += kDepthUnit) {
    unpack_panel(b, strip, k, kDepthUnit, !scale_after(b), values);
    for (int64_t i = 0; i < kDepthUnit; i += 2, out += kLine) {
      const V even = load(values + i * 16), odd = load(values + (i + 1) * 16);
      store_line(out, pair_line(bf16_bits(even), bf16_bits(odd)));
    }
  }
}

// One input row, rounded, as a sum of so many BF16 parts [parts][depth], each what the ones before it left; returns its
// scale.
inline float bf16_row(const Packed& w, const float* x, int parts, std::byte* out) {
  static thread_local Scratch scratch;
  float* values = scratch.get<float>(w.depth);
  const float scale = round_row(w.input, w.precision, x, w.in_features, w.depth, values);
  auto* numbers = reinterpret_cast<uint16_t*>(out);
  for (int64_t k = 0; k < w.depth; k += 16) {
    V rest = load(values + k);
    store_bf16(numbers + k, rest);
    for (int part = 1; part < parts; ++part) {
      rest = sub(rest, round_bf16(rest));
      store_bf16(numbers + part * w.depth + k, rest);
    }
  }
  return scale;
}
