// Numbers as a cache stores them, bit for bit as numeric::Format has them.
#pragma once
#include <cmath>

#include "kernels/cuda/simt.h"
#include "kernels/ops.h"

namespace aquatint::kernels::cuda {

__device__ inline uint32_t bf16_code(float x) {
  const uint32_t u = __float_as_uint(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return u >> 16 | 0x40u;  // quiet NaN
  return (u + 0x7fffu + (u >> 16 & 1u)) >> 16;
}
__device__ inline float bf16_value(uint32_t code) { return __uint_as_float(code << 16); }
__device__ inline float rounded_to_bf16(float x) { return bf16_value(bf16_code(x)); }

__device__ inline uint32_t int8_code(float x) {
  if (x != x) return 0;
  return static_cast<uint32_t>(static_cast<int32_t>(rintf(fminf(fmaxf(x, -128.0f), 127.0f)))) & 0xffu;
}

// To nearest, ties to even; from 448 on 448.
__device__ inline uint32_t e4m3_code(float x) {
  const uint32_t u = __float_as_uint(x), sign = u >> 31 << 7, magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7fu;
  const float size = __uint_as_float(magnitude);
  if (size >= 448.0f) return sign | 0x7eu;
  if (size < 0x1p-6f) return sign | static_cast<uint32_t>(rintf(size * 0x1p9f));
  const uint32_t code = ((magnitude + 0x7ffffu + (magnitude >> 20 & 1u)) >> 20) - (120u << 3);
  return sign | (code > 0x7eu ? 0x7eu : code);
}
__device__ inline float e4m3_value(uint32_t code) {
  const float size = __uint_as_float((code & 0x7fu) << 20) * 0x1p120f;
  return code & 0x80u ? -size : size;
}

__device__ inline uint32_t kv_code(KvFormat format, float x) {
  if (format == KvFormat::fp32) return __float_as_uint(x);
  if (format == KvFormat::bf16) return bf16_code(x);
  return format == KvFormat::int8 ? int8_code(x) : e4m3_code(x);
}

__device__ inline float kv_value(KvFormat format, uint32_t code) {
  if (format == KvFormat::fp32) return __uint_as_float(code);
  if (format == KvFormat::bf16) return bf16_value(code);
  if (format == KvFormat::int4) return static_cast<float>(code);
  return format == KvFormat::int8 ? static_cast<float>(static_cast<int8_t>(code)) : e4m3_value(code);
}

__device__ inline uint32_t kv_code_of(uint32_t lane, int per_lane, int i) {
  if (per_lane == 1) return lane;
  const int bits = 32 / per_lane, at = per_lane == 8 ? 4 * (i % 4 * 2 + i / 4) : bits * i;
  return lane >> at & ((1u << bits) - 1);
}

// kv_scale().
__device__ inline float kv_scale_of(KvFormat format, float largest) {
  const float scale = __fdiv_rn(largest, format == KvFormat::int8 ? 127.0f : 448.0f);
  return scale == 0 ? 0x1p-23f : scale;
}

// A pair of int4: scale and minimum.
struct Pair {
  float scale, minimum;
};
__device__ inline Pair pair_of(uint32_t word) { return {bf16_value(word & 0xffffu), bf16_value(word >> 16)}; }
__device__ inline uint32_t pair_word(float low, float high) {
  const uint32_t scale = bf16_code(__fdiv_rn(high - low, 15.0f));
  return (scale == 0 ? bf16_code(0x1p-23f) : scale) | bf16_code(low) << 16;
}
__device__ inline uint32_t int4_code(float x, const Pair& pair) {
  return static_cast<uint32_t>(fminf(fmaxf(rintf(__fdiv_rn(x - pair.minimum, pair.scale)), 0.0f), 15.0f));
}

}  // namespace aquatint::kernels::cuda
