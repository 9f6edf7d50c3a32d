// Sixteen floats (V), eight doubles (D) and the unpacking of weight lines, for AVX-512 F, BW, DQ, VL and
// VNNI. What each function means: vec_scalar.h.
#pragma once
#include <immintrin.h>

#include <array>
#include <cstdint>

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")

namespace aquatint::kernels::avx512 {

#define AQ_INLINE [[gnu::always_inline]] inline

using V = __m512;
using D = __m512d;

// 8 × 3 sums, 3 weights and a broadcast use 28 of 32 registers; 24 chains cover 2 FMAs per cycle of
// latency 4.
constexpr int kTileRows = 8, kTileStrips = 3;
constexpr int kPassRows = 8, kPassSums = 16;
// Attention's tiles: heads of 64 dimensions are four strips; 6 × 4 sums, 4 strips and a broadcast use 29.
constexpr int kAttendRows = 6, kAttendStrips = 4;

AQ_INLINE V zero() { return _mm512_setzero_ps(); }
AQ_INLINE V set(float x) { return _mm512_set1_ps(x); }
AQ_INLINE V load(const float* p) { return _mm512_loadu_ps(p); }
AQ_INLINE void store(float* p, V x) { _mm512_storeu_ps(p, x); }
AQ_INLINE __mmask16 first(int64_t n) { return static_cast<__mmask16>((1u << n) - 1); }
AQ_INLINE V load_n(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
AQ_INLINE V load_n(const float* p, int64_t n, V rest) { return _mm512_mask_loadu_ps(rest, first(n), p); }
AQ_INLINE void store_n(float* p, V x, int64_t n) { _mm512_mask_storeu_ps(p, first(n), x); }
AQ_INLINE V add(V a, V b) { return _mm512_add_ps(a, b); }
AQ_INLINE V sub(V a, V b) { return _mm512_sub_ps(a, b); }
AQ_INLINE V mul(V a, V b) { return _mm512_mul_ps(a, b); }
AQ_INLINE V div(V a, V b) { return _mm512_div_ps(a, b); }
AQ_INLINE V max(V a, V b) { return _mm512_max_ps(a, b); }
AQ_INLINE V min(V a, V b) { return _mm512_min_ps(a, b); }
AQ_INLINE V abs(V a) { return _mm512_abs_ps(a); }
AQ_INLINE V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
template <int kDistance>
AQ_INLINE V exchange(V a) {
  if constexpr (kDistance == 8) return _mm512_shuffle_f32x4(a, a, 0x4e);
  if constexpr (kDistance == 4) return _mm512_shuffle_f32x4(a, a, 0xb1);
  return _mm512_permute_ps(a, kDistance == 2 ? 0x4e : 0xb1);
}
AQ_INLINE float sum(V a) { return _mm512_reduce_add_ps(a); }
AQ_INLINE float largest(V a) { return _mm512_reduce_max_ps(a); }

AQ_INLINE V pow2(V t) {
  const __m512i n = _mm512_add_epi32(_mm512_castps_si512(t), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(n, 23));
}
AQ_INLINE V times_pow2(V x, V t) {
  const __m512i n = _mm512_slli_epi32(_mm512_castps_si512(t), 23);
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), n));
}
AQ_INLINE V power_floor(V a) {
  return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x7f800000)));
}

AQ_INLINE V widen_bf16(__m256i h) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
AQ_INLINE V load_bf16(const uint16_t* p) {
  return widen_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
AQ_INLINE V load_bf16_n(const uint16_t* p, int64_t n) {
  return widen_bf16(_mm256_maskz_loadu_epi16(first(n), p));
}

// The BF16 code in the upper half of each lane, ties to even; NaNs stay quiet NaNs.
AQ_INLINE __m512i bf16_bits(V x) {
  const __m512i u = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  return _mm512_mask_or_epi32(rounded, nan, u, _mm512_set1_epi32(0x400000));
}
AQ_INLINE V round_bf16(V x) {
  return _mm512_castsi512_ps(_mm512_and_si512(bf16_bits(x), _mm512_set1_epi32(static_cast<int>(0xffff0000))));
}
AQ_INLINE __m256i narrow_bf16(V x) { return _mm512_cvtepi32_epi16(_mm512_srli_epi32(bf16_bits(x), 16)); }
AQ_INLINE void store_bf16(uint16_t* p, V x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow_bf16(x));
}
AQ_INLINE void store_bf16_n(uint16_t* p, V x, int64_t n) {
  _mm256_mask_storeu_epi16(p, first(n), narrow_bf16(x));
}

AQ_INLINE V load_fp16(const void* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}

AQ_INLINE __m512i line(const std::byte* p) { return _mm512_loadu_si512(p); }
AQ_INLINE void unpack_bf16(const std::byte* p, V (&w)[8]) {
  const __m512i v = line(p);
  w[0] = _mm512_castsi512_ps(_mm512_slli_epi32(v, 16));
  w[1] = _mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32(static_cast<int>(0xffff0000))));
}
AQ_INLINE void unpack_int8(const std::byte* p, V (&w)[8]) {
  const __m512i v = line(p);
  w[0] = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(v, 24), 24));
  w[1] = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(v, 16), 24));
  w[2] = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(v, 8), 24));
  w[3] = _mm512_cvtepi32_ps(_mm512_srai_epi32(v, 24));
}
// E4M3 times 2^-8 as BF16: the code moves to the place of BF16, where its exponent lacks 120; 112, in bits
// that are all 0, needs no addition.
constexpr float kUnitOfFp8 = 256;
// Of the upper byte of each half dword; wrong for exponent 0.
AQ_INLINE __m512i normal_fp8(__m512i codes) {
  constexpr int kAndOr = 0xea;  // (a & b) | c
  return _mm512_ternarylogic_epi32(_mm512_srai_epi16(codes, 4),
                                   _mm512_set1_epi32(static_cast<int>(0x87f087f0)),
                                   _mm512_set1_epi32(0x38003800), kAndOr);
}
// Of the upper and of the lower bytes, any exponent. The low nibble (last bit of the exponent, mantissa) is
// BF16's low byte, moved up; codes of exponent 0 are looked up: m · 2^-17.
AQ_INLINE void any_fp8(__m512i v, __m512i& odd, __m512i& even) {
  const auto table = [](uint64_t bytes) { return _mm512_set1_epi64(static_cast<int64_t>(bytes)); };
  const __m512i nibble = _mm512_and_si512(v, _mm512_set1_epi8(15));
  const __m512i exponent = _mm512_and_si512(_mm512_srli_epi32(v, 4), _mm512_set1_epi8(7));
  const __mmask64 tiny = _mm512_testn_epi8_mask(v, _mm512_set1_epi8(0x78));
  __m512i low = _mm512_slli_epi32(nibble, 4), high = _mm512_add_epi8(exponent, _mm512_set1_epi8(56));
  low = _mm512_mask_shuffle_epi8(low, tiny, table(0x60402000c0800000), nibble);
  high = _mm512_mask_shuffle_epi8(high, tiny, table(0x3838383837373700), nibble);
  high = _mm512_or_si512(high, _mm512_and_si512(v, _mm512_set1_epi8(static_cast<char>(0x80))));
  constexpr __mmask64 kUpper = 0xaaaaaaaaaaaaaaaa;
  odd = _mm512_mask_blend_epi8(kUpper, _mm512_srli_epi32(low, 8), high);
  even = _mm512_mask_blend_epi8(kUpper, low, _mm512_slli_epi32(high, 8));
}
AQ_INLINE void unpack_fp8(const std::byte* p, V (&w)[8]) {
  const __m512i v = line(p);
  __m512i odd = normal_fp8(v), even = normal_fp8(_mm512_slli_epi32(v, 8));
  if (_mm512_testn_epi8_mask(v, _mm512_set1_epi8(0x78)) != 0) [[unlikely]]
    any_fp8(v, odd, even);
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000));
  w[0] = _mm512_castsi512_ps(_mm512_slli_epi32(even, 16));
  w[1] = _mm512_castsi512_ps(_mm512_slli_epi32(odd, 16));
  w[2] = _mm512_castsi512_ps(_mm512_and_si512(even, upper));
  w[3] = _mm512_castsi512_ps(_mm512_and_si512(odd, upper));
}
// vpermps uses the low four bits of each index, so shifted codes need no mask.
AQ_INLINE void unpack_codes4(const std::byte* p, V table, V (&w)[8]) {
  const __m512i v = line(p);
  constexpr int kNibble[8] = {0, 2, 4, 6, 1, 3, 5, 7};
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i)
    w[i] = _mm512_permutexvar_ps(_mm512_srli_epi32(v, static_cast<unsigned>(4 * kNibble[i])), table);
}

using I = __m512i;
AQ_INLINE void store_line(std::byte* p, I x) { _mm512_storeu_si512(p, x); }
AQ_INLINE I set_i(int32_t x) { return _mm512_set1_epi32(x); }
AQ_INLINE I and_i(I a, uint32_t mask) { return _mm512_and_si512(a, set_i(static_cast<int32_t>(mask))); }
AQ_INLINE I or_i(I a, I b) { return _mm512_or_si512(a, b); }
template <int count>
AQ_INLINE I right(I a) {
  return count == 0 ? a : _mm512_srli_epi32(a, count);
}
template <int count>
AQ_INLINE I left(I a) {
  return count == 0 ? a : _mm512_slli_epi32(a, count);
}
template <int count>
AQ_INLINE I halves_right(I a) {
  return _mm512_srai_epi16(a, count);
}
AQ_INLINE V to_float(I a) { return _mm512_cvtepi32_ps(a); }
AQ_INLINE I nearest_i(V a) { return _mm512_cvtps_epi32(a); }
AQ_INLINE V from_int8(const std::byte* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
// vpermw uses the low five bits of each index: with the table twice, shifted codes need no mask.
using Codebook = __m512i;
AQ_INLINE Codebook codebook(const std::array<int16_t, 16>& integers) {
  return _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(integers.data())));
}
AQ_INLINE I look_up(I codes, Codebook book) { return _mm512_permutexvar_epi16(codes, book); }
// In assembly: with the intrinsics g++ 12 copies every sum at the end of a loop and runs out of registers.
AQ_INLINE I dot16(I sum, I w, I x) {
  __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
  return sum;
}
template <bool small>
AQ_INLINE I dot8(I sum, I w, I x) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
  return sum;
}
constexpr bool kBytesOfBits8 = true;
AQ_INLINE void pairs(I x, int32_t* out) {
  const __m512i first = _mm512_setr_epi32(0, 1, 4, 5, 8, 9, 12, 13, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m512i second = _mm512_setr_epi32(2, 3, 6, 7, 10, 11, 14, 15, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m512i low = _mm512_permutexvar_epi32(first, x), high = _mm512_permutexvar_epi32(second, x);
  const __m512i both = _mm512_mask_blend_epi16(0xaaaaaaaa, low, _mm512_slli_epi32(high, 16));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_castsi512_si256(both));
}
AQ_INLINE void bytes(I x, int32_t* out) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtepi32_epi8(x));
}
AQ_INLINE int32_t sum_i(I a) { return _mm512_reduce_add_epi32(a); }

AQ_INLINE D load(const double* p) { return _mm512_loadu_pd(p); }
AQ_INLINE void store(double* p, D x) { _mm512_storeu_pd(p, x); }
AQ_INLINE D set_d(double x) { return _mm512_set1_pd(x); }
AQ_INLINE D low(V a) { return _mm512_cvtps_pd(_mm512_castps512_ps256(a)); }
AQ_INLINE D high(V a) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1)); }
AQ_INLINE D add(D a, D b) { return _mm512_add_pd(a, b); }
AQ_INLINE D sub(D a, D b) { return _mm512_sub_pd(a, b); }
AQ_INLINE D mul(D a, D b) { return _mm512_mul_pd(a, b); }
AQ_INLINE D max(D a, D b) { return _mm512_max_pd(a, b); }
AQ_INLINE D fma(D a, D b, D c) { return _mm512_fmadd_pd(a, b, c); }
AQ_INLINE double sum(D a) { return _mm512_reduce_add_pd(a); }
AQ_INLINE D pow2(D t) {
  const __m512i n = _mm512_add_epi64(_mm512_castpd_si512(t), _mm512_set1_epi64(1023));
  return _mm512_castsi512_pd(_mm512_slli_epi64(n, 52));
}

AQ_INLINE void prefetch(const void* p) { _mm_prefetch(p, _MM_HINT_T0); }
AQ_INLINE void prefetch_far(const void* p) { _mm_prefetch(p, _MM_HINT_T1); }

// Lane i of the result is the sum of a[i]: a tree of shuffles and adds, 4 levels.
AQ_INLINE V sums(const V (&a)[16]) {
  V b[8], c[4], d[2];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i)
    b[i] = add(_mm512_unpacklo_ps(a[2 * i], a[2 * i + 1]), _mm512_unpackhi_ps(a[2 * i], a[2 * i + 1]));
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const D x = _mm512_castps_pd(b[2 * i]), y = _mm512_castps_pd(b[2 * i + 1]);
    c[i] = add(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i)
    d[i] = add(_mm512_shuffle_f32x4(c[2 * i], c[2 * i + 1], 0x88),
               _mm512_shuffle_f32x4(c[2 * i], c[2 * i + 1], 0xdd));
  return add(_mm512_shuffle_f32x4(d[0], d[1], 0x88), _mm512_shuffle_f32x4(d[0], d[1], 0xdd));
}

}  // namespace aquatint::kernels::avx512
#pragma GCC pop_options
