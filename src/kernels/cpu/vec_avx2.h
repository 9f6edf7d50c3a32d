// Sixteen floats (V) as two registers, eight doubles (D) and the unpacking of weight lines, for AVX2, FMA and
// F16C. What each function means: vec_scalar.h.
#pragma once
#include <immintrin.h>

#include <array>
#include <cstdint>

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")

namespace aquatint::kernels::avx2 {

#define AQ_INLINE [[gnu::always_inline]] inline

struct V {
  __m256 a, b;
};
struct D {
  __m256d a, b;
};

// 6 × 2 sums, 2 weights and a broadcast use 15 of 16 registers.
constexpr int kTileRows = 6, kTileStrips = 1;
constexpr int kPassRows = 4, kPassSums = 4;
constexpr int kAttendRows = 6, kAttendStrips = 1;

AQ_INLINE V zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
AQ_INLINE V set(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
AQ_INLINE V load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
AQ_INLINE void store(float* p, V x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
AQ_INLINE V load_n(const float* p, int64_t n) {
  alignas(32) float lanes[16] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}
AQ_INLINE V load_n(const float* p, int64_t n, V rest) {
  alignas(32) float lanes[16];
  store(lanes, rest);
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}
AQ_INLINE void store_n(float* p, V x, int64_t n) {
  alignas(32) float lanes[16];
  store(lanes, x);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}
AQ_INLINE V add(V x, V y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
AQ_INLINE V sub(V x, V y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
AQ_INLINE V mul(V x, V y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
AQ_INLINE V div(V x, V y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
AQ_INLINE V max(V x, V y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
AQ_INLINE V min(V x, V y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
AQ_INLINE V fma(V x, V y, V z) { return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
AQ_INLINE __m256i bits(__m256 x) { return _mm256_castps_si256(x); }
AQ_INLINE __m256 floats(__m256i x) { return _mm256_castsi256_ps(x); }
AQ_INLINE __m256 masked(__m256 x, int mask) {
  return floats(_mm256_and_si256(bits(x), _mm256_set1_epi32(mask)));
}
AQ_INLINE V abs(V x) { return {masked(x.a, 0x7fffffff), masked(x.b, 0x7fffffff)}; }
AQ_INLINE V power_floor(V x) { return {masked(x.a, 0x7f800000), masked(x.b, 0x7f800000)}; }
template <int kDistance>
AQ_INLINE V exchange(V x) {
  if constexpr (kDistance == 8) return {x.b, x.a};
  if constexpr (kDistance == 4)
    return {_mm256_permute2f128_ps(x.a, x.a, 1), _mm256_permute2f128_ps(x.b, x.b, 1)};
  constexpr int kOrder = kDistance == 2 ? 0x4e : 0xb1;
  return {_mm256_permute_ps(x.a, kOrder), _mm256_permute_ps(x.b, kOrder)};
}
AQ_INLINE float sum(V x) {
  const __m256 halves = _mm256_add_ps(x.a, x.b);
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
AQ_INLINE float largest(V x) {
  const __m256 halves = _mm256_max_ps(x.a, x.b);
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

AQ_INLINE __m256 pow2_half(__m256 t) {
  return floats(_mm256_slli_epi32(_mm256_add_epi32(bits(t), _mm256_set1_epi32(127)), 23));
}
AQ_INLINE V pow2(V t) { return {pow2_half(t.a), pow2_half(t.b)}; }
AQ_INLINE __m256 times_pow2_half(__m256 x, __m256 t) {
  return floats(_mm256_add_epi32(bits(x), _mm256_slli_epi32(bits(t), 23)));
}
AQ_INLINE V times_pow2(V x, V t) { return {times_pow2_half(x.a, t.a), times_pow2_half(x.b, t.b)}; }

AQ_INLINE __m256 widen_bf16(__m128i h) { return floats(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16)); }
AQ_INLINE V load_bf16(const uint16_t* p) {
  return {widen_bf16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          widen_bf16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
AQ_INLINE V load_bf16_n(const uint16_t* p, int64_t n) {
  alignas(32) uint16_t lanes[16] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load_bf16(lanes);
}
// The BF16 code in the upper half of each lane, ties to even; NaNs stay quiet NaNs.
AQ_INLINE __m256i bf16_bits(__m256 x) {
  const __m256i u = bits(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i nan = bits(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(rounded, _mm256_or_si256(u, _mm256_set1_epi32(0x400000)), nan);
}
AQ_INLINE V round_bf16(V x) {
  constexpr int kUpper = static_cast<int>(0xffff0000);
  return {masked(floats(bf16_bits(x.a)), kUpper), masked(floats(bf16_bits(x.b)), kUpper)};
}
AQ_INLINE void store_bf16(uint16_t* p, V x) {
  const __m256i both =
      _mm256_packus_epi32(_mm256_srli_epi32(bf16_bits(x.a), 16), _mm256_srli_epi32(bf16_bits(x.b), 16));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(both, 0xd8));
}
AQ_INLINE void store_bf16_n(uint16_t* p, V x, int64_t n) {
  alignas(32) uint16_t lanes[16];
  store_bf16(lanes, x);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}
AQ_INLINE V load_fp16(const void* p) {
  const auto* h = static_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(h)), _mm256_cvtph_ps(_mm_loadu_si128(h + 1))};
}

AQ_INLINE __m256i half_line(const std::byte* p, int half) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p) + half);
}
AQ_INLINE void unpack_bf16(const std::byte* p, V (&w)[8]) {
  const __m256i a = half_line(p, 0), b = half_line(p, 1);
  constexpr int kUpper = static_cast<int>(0xffff0000);
  w[0] = {floats(_mm256_slli_epi32(a, 16)), floats(_mm256_slli_epi32(b, 16))};
  w[1] = {masked(floats(a), kUpper), masked(floats(b), kUpper)};
}
AQ_INLINE __m256 int8_at(__m256i v, int shift) {
  return _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(v, shift), 24));
}
AQ_INLINE void unpack_int8(const std::byte* p, V (&w)[8]) {
  const __m256i a = half_line(p, 0), b = half_line(p, 1);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) w[i] = {int8_at(a, 24 - 8 * i), int8_at(b, 24 - 8 * i)};
}
// E4M3's exponent and mantissa moved to FP32's place with the biases' difference added; exponent 0 is then
// repaired: 2^-7 · (1 + m/8) stands where 2^-6 · m/8 is meant. (Multiplying FP32 subnormals by 2^120 would
// trap to microcode.)
AQ_INLINE __m256 e4m3_at(__m256i v, int shift) {
  const __m256i top = _mm256_slli_epi32(v, shift);
  const __m256i sign = _mm256_and_si256(top, _mm256_set1_epi32(static_cast<int>(0x80000000)));
  const __m256i magnitude = _mm256_srli_epi32(_mm256_slli_epi32(top, 1), 5);
  const __m256i kept = _mm256_and_si256(magnitude, _mm256_set1_epi32(0x07f00000));
  const __m256 normal = floats(_mm256_add_epi32(kept, _mm256_set1_epi32(120 << 23)));
  const __m256 limit = _mm256_set1_ps(0x1p-6f);
  const __m256 tiny = _mm256_cmp_ps(normal, limit, _CMP_LT_OQ);
  const __m256 repaired = _mm256_sub_ps(_mm256_add_ps(normal, normal), limit);
  return floats(_mm256_or_si256(sign, bits(_mm256_blendv_ps(normal, repaired, tiny))));
}
constexpr float kUnitOfFp8 = 1;
AQ_INLINE void unpack_fp8(const std::byte* p, V (&w)[8]) {
  const __m256i a = half_line(p, 0), b = half_line(p, 1);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) w[i] = {e4m3_at(a, 24 - 8 * i), e4m3_at(b, 24 - 8 * i)};
}
// vpermps picks one of eight by the low three bits; the fourth, moved to the sign, blends the table's halves.
AQ_INLINE __m256 lookup(__m256i codes, V table) {
  const __m256 upper = floats(_mm256_slli_epi32(codes, 28));
  return _mm256_blendv_ps(_mm256_permutevar8x32_ps(table.a, codes), _mm256_permutevar8x32_ps(table.b, codes),
                          upper);
}
AQ_INLINE void unpack_codes4(const std::byte* p, V table, V (&w)[8]) {
  const __m256i a = half_line(p, 0), b = half_line(p, 1);
  constexpr int kNibble[8] = {0, 2, 4, 6, 1, 3, 5, 7};
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i)
    w[i] = {lookup(_mm256_srli_epi32(a, 4 * kNibble[i]), table),
            lookup(_mm256_srli_epi32(b, 4 * kNibble[i]), table)};
}

struct I {
  __m256i a, b;
};
AQ_INLINE I line(const std::byte* p) { return {half_line(p, 0), half_line(p, 1)}; }
AQ_INLINE void store_line(std::byte* p, I x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 32), x.b);
}
AQ_INLINE I set_i(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
AQ_INLINE I and_i(I x, uint32_t mask) {
  const __m256i m = _mm256_set1_epi32(static_cast<int32_t>(mask));
  return {_mm256_and_si256(x.a, m), _mm256_and_si256(x.b, m)};
}
AQ_INLINE I or_i(I x, I y) { return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)}; }
template <int count>
AQ_INLINE I right(I x) {
  return {_mm256_srli_epi32(x.a, count), _mm256_srli_epi32(x.b, count)};
}
template <int count>
AQ_INLINE I left(I x) {
  return {_mm256_slli_epi32(x.a, count), _mm256_slli_epi32(x.b, count)};
}
template <int count>
AQ_INLINE I halves_right(I x) {
  return {_mm256_srai_epi16(x.a, count), _mm256_srai_epi16(x.b, count)};
}
AQ_INLINE V to_float(I x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
AQ_INLINE I nearest_i(V x) { return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}; }
AQ_INLINE __m256 from_int8_half(const std::byte* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
AQ_INLINE V from_int8(const std::byte* p) { return {from_int8_half(p), from_int8_half(p + 8)}; }
// pshufb looks up low and high bytes apart; an index with its top bit set gives zero.
struct Codebook {
  __m256i low, high;
};
AQ_INLINE Codebook codebook(const std::array<int16_t, 16>& integers) {
  alignas(16) uint8_t low[16], high[16];
  for (size_t i = 0; i < 16; ++i) {
    low[i] = static_cast<uint8_t>(integers[i]);
    high[i] = static_cast<uint8_t>(static_cast<uint16_t>(integers[i]) >> 8);
  }
  return {_mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(low))),
          _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(high)))};
}
AQ_INLINE __m256i look_up_half(__m256i codes, Codebook book) {
  const __m256i index = _mm256_and_si256(codes, _mm256_set1_epi32(0x000f000f));
  const __m256i none = _mm256_set1_epi32(static_cast<int>(0x80008000));
  const __m256i low = _mm256_shuffle_epi8(book.low, _mm256_or_si256(index, none));
  const __m256i high = _mm256_shuffle_epi8(
      book.high, _mm256_or_si256(_mm256_slli_epi32(index, 8), _mm256_srli_epi32(none, 8)));
  return _mm256_or_si256(low, high);
}
AQ_INLINE I look_up(I codes, Codebook book) {
  return {look_up_half(codes.a, book), look_up_half(codes.b, book)};
}
AQ_INLINE I dot16(I sum, I w, I x) {
  return {_mm256_add_epi32(sum.a, _mm256_madd_epi16(w.a, x.a)),
          _mm256_add_epi32(sum.b, _mm256_madd_epi16(w.b, x.b))};
}
// vpmaddubsw saturates at 16 bits: pairs of products must stay below, so w < 128.
template <bool small>
AQ_INLINE I dot8(I sum, I w, I x) {
  static_assert(small, "use 16-bit products");
  const __m256i ones = _mm256_set1_epi16(1);
  return {_mm256_add_epi32(sum.a, _mm256_madd_epi16(_mm256_maddubs_epi16(w.a, x.a), ones)),
          _mm256_add_epi32(sum.b, _mm256_madd_epi16(_mm256_maddubs_epi16(w.b, x.b), ones))};
}
constexpr bool kBytesOfBits8 = false;
AQ_INLINE void pairs(I x, int32_t* out) {
  alignas(32) int32_t k[16];
  _mm256_store_si256(reinterpret_cast<__m256i*>(k), x.a);
  _mm256_store_si256(reinterpret_cast<__m256i*>(k + 8), x.b);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    const int from = i / 4 * 8 + i % 4 / 2 * 4 + i % 2;
    out[i] = (k[from] & 0xffff) | static_cast<int32_t>(static_cast<uint32_t>(k[from + 2]) << 16);
  }
}
AQ_INLINE void bytes(I x, int32_t* out) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(x.a, x.b), 0xd8);
  const __m128i packed = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), packed);
}
AQ_INLINE int32_t sum_i(I x) {
  const __m256i halves = _mm256_add_epi32(x.a, x.b);
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

AQ_INLINE D load(const double* p) { return {_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)}; }
AQ_INLINE void store(double* p, D x) {
  _mm256_storeu_pd(p, x.a);
  _mm256_storeu_pd(p + 4, x.b);
}
AQ_INLINE D set_d(double x) { return {_mm256_set1_pd(x), _mm256_set1_pd(x)}; }
AQ_INLINE D widen(__m256 x) {
  return {_mm256_cvtps_pd(_mm256_castps256_ps128(x)), _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1))};
}
AQ_INLINE D low(V x) { return widen(x.a); }
AQ_INLINE D high(V x) { return widen(x.b); }
AQ_INLINE D add(D x, D y) { return {_mm256_add_pd(x.a, y.a), _mm256_add_pd(x.b, y.b)}; }
AQ_INLINE D sub(D x, D y) { return {_mm256_sub_pd(x.a, y.a), _mm256_sub_pd(x.b, y.b)}; }
AQ_INLINE D mul(D x, D y) { return {_mm256_mul_pd(x.a, y.a), _mm256_mul_pd(x.b, y.b)}; }
AQ_INLINE D max(D x, D y) { return {_mm256_max_pd(x.a, y.a), _mm256_max_pd(x.b, y.b)}; }
AQ_INLINE D fma(D x, D y, D z) { return {_mm256_fmadd_pd(x.a, y.a, z.a), _mm256_fmadd_pd(x.b, y.b, z.b)}; }
AQ_INLINE double sum(D x) {
  const __m256d halves = _mm256_add_pd(x.a, x.b);
  const __m128d s = _mm_add_pd(_mm256_castpd256_pd128(halves), _mm256_extractf128_pd(halves, 1));
  return _mm_cvtsd_f64(_mm_add_sd(s, _mm_unpackhi_pd(s, s)));
}
AQ_INLINE __m256d pow2_half(__m256d t) {
  const __m256i n = _mm256_add_epi64(_mm256_castpd_si256(t), _mm256_set1_epi64x(1023));
  return _mm256_castsi256_pd(_mm256_slli_epi64(n, 52));
}
AQ_INLINE D pow2(D t) { return {pow2_half(t.a), pow2_half(t.b)}; }

AQ_INLINE void prefetch(const void* p) { _mm_prefetch(p, _MM_HINT_T0); }
AQ_INLINE void prefetch_far(const void* p) { _mm_prefetch(p, _MM_HINT_T1); }

AQ_INLINE V sums(const V (&a)[16]) {
  alignas(32) float lanes[16];
  for (int i = 0; i < 16; ++i) lanes[i] = sum(a[i]);
  return load(lanes);
}

}  // namespace aquatint::kernels::avx2
#pragma GCC pop_options
