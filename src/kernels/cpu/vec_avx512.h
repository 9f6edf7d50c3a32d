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

AQ_INLINE V zero() { return _mm512_setzero_ps(); }
AQ_INLINE V set(float x) { return _mm512_set1_ps(x); }
AQ_INLINE V load(const float* p) { return _mm512_loadu_ps(p); }
AQ_INLINE void store(float* p, V x) { _mm512_storeu_ps(p, x); }
AQ_INLINE __mmask16 first(int64_t n) { return static_cast<__mmask16>((1u << n) - 1); }
AQ_INLINE V load_n(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
AQ_INLINE void store_n(float* p, V x, int64_t n) { _mm512_mask_storeu_ps(p, first(n), x); }
AQ_INLINE V add(V a, V b) { return _mm512_add_ps(a, b); }
AQ_INLINE V sub(V a, V b) { return _mm512_sub_ps(a, b); }
AQ_INLINE V mul(V a, V b) { return _mm512_mul_ps(a, b); }
AQ_INLINE V div(V a, V b) { return _mm512_div_ps(a, b); }
AQ_INLINE V max(V a, V b) { return _mm512_max_ps(a, b); }
AQ_INLINE V min(V a, V b) { return _mm512_min_ps(a, b); }
AQ_INLINE V abs(V a) { return _mm512_abs_ps(a); }
AQ_INLINE V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
AQ_INLINE float sum(V a) { return _mm512_reduce_add_ps(a); }
AQ_INLINE float largest(V a) { return _mm512_reduce_max_ps(a); }

AQ_INLINE V pow2(V t) {
  const __m512i n = _mm512_add_epi32(_mm512_castps_si512(t), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(n, 23));
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
// E4M3's exponent and mantissa moved to FP32's place with the biases' difference added; exponent 0 is then
// repaired: 2^-7 · (1 + m/8) stands where 2^-6 · m/8 is meant. (Multiplying FP32 subnormals by 2^120 would
// trap to microcode.)
AQ_INLINE V e4m3(__m512i in_top_byte) {
  const __m512i sign = _mm512_and_si512(in_top_byte, _mm512_set1_epi32(static_cast<int>(0x80000000)));
  const __m512i magnitude = _mm512_srli_epi32(_mm512_slli_epi32(in_top_byte, 1), 5);
  const __m512i kept = _mm512_and_si512(magnitude, _mm512_set1_epi32(0x07f00000));
  const V normal = _mm512_castsi512_ps(_mm512_add_epi32(kept, _mm512_set1_epi32(120 << 23)));
  const __mmask16 tiny = _mm512_cmp_ps_mask(normal, set(0x1p-6f), _CMP_LT_OQ);
  const V value = _mm512_mask_sub_ps(normal, tiny, add(normal, normal), set(0x1p-6f));
  return _mm512_castsi512_ps(_mm512_or_si512(sign, _mm512_castps_si512(value)));
}
AQ_INLINE void unpack_fp8(const std::byte* p, V (&w)[8]) {
  const __m512i v = line(p);
  w[0] = e4m3(_mm512_slli_epi32(v, 24));
  w[1] = e4m3(_mm512_slli_epi32(v, 16));
  w[2] = e4m3(_mm512_slli_epi32(v, 8));
  w[3] = e4m3(v);
}
// vpermps uses the low four bits of each index, so shifted codes need no mask.
AQ_INLINE void unpack_codes4(const std::byte* p, V table, V (&w)[8]) {
  const __m512i v = line(p);
  constexpr int kNibble[8] = {0, 2, 4, 6, 1, 3, 5, 7};
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i)
    w[i] = _mm512_permutexvar_ps(_mm512_srli_epi32(v, static_cast<unsigned>(4 * kNibble[i])), table);
}

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
