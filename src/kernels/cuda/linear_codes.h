// Codes and scales of packed weights as lanes read them (linear_plan.h).
#pragma once
#include "kernels/cuda/linear_decode.h"
#include "kernels/cuda/ptx/pairs.h"
#include "kernels/cuda/simt.h"

namespace aquatint::kernels::cuda {

// Pairs of table values for a byte of two codes, once for each lane so that no two ask the same bank.
struct LookUp {
  uint32_t pairs[256][kWarp];
};

struct Decoder {
  uint32_t bias = 0;    // int4: a pair of 128 + bias in BF16
  float wide_bias = 0;  // int8: 2^23 + bias
  const LookUp* look = nullptr;
};

template <Codes codes>
constexpr int kVectors = code_bits(codes) / 4;  // of 16 bytes, for the four tiles of a row of tiles

__device__ inline uint32_t component(const uint4& v, int i) {
  return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
}

// 128 + code is a BF16 number whose last bits are the code's.
__device__ inline void decode_int4(uint32_t word, const Decoder& d, uint32_t (&a)[4]) {
  AQ_UNROLL
  for (int i = 0; i < 4; ++i) a[i] = ptx::sub_bf16((word >> 4 * i & 0x000f000fu) | 0x43004300u, d.bias);
}

__device__ inline void decode_book4(uint32_t word, const Decoder& d, uint32_t (&a)[4]) {
  const int lane = thread_in_block() % kWarp;
  AQ_UNROLL
  for (int i = 0; i < 4; ++i) a[i] = d.look->pairs[word >> 8 * i & 0xff][lane];
}

// 2^23 + code is an FP32 number whose last bits are the code's; integers up to 256 are BF16's.
__device__ inline uint32_t int8_pair(uint32_t word, int first, float bias) {
  const float low =
      __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7440u + static_cast<uint32_t>(first))) - bias;
  const float high =
      __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7441u + static_cast<uint32_t>(first))) - bias;
  return __byte_perm(__float_as_uint(low), __float_as_uint(high), 0x7632u);
}

// Sign, exponent and mantissa of E4M3 where BF16 has them mean a 2^120th of it, subnormal numbers too.
__device__ inline uint32_t e4m3_pair(uint32_t word, int first) {
  const uint32_t high = __byte_perm(word, 0, first == 0 ? 0x1404u : 0x3424u);
  return ptx::mul_bf16((high & 0x80008000u) | (high >> 4 & 0x07f007f0u), 0x7b807b80u);
}

template <Codes codes>
__device__ inline void decode_tile(const uint4 (&v)[kVectors<codes>], int tile, const Decoder& d,
                                   uint32_t (&a)[4]) {
  if constexpr (codes == Codes::int4) {
    decode_int4(component(v[0], tile), d, a);
  } else if constexpr (codes == Codes::book4) {
    decode_book4(component(v[0], tile), d, a);
  } else if constexpr (codes == Codes::bf16) {
    AQ_UNROLL
    for (int i = 0; i < 4; ++i) a[i] = component(v[tile], i);
  } else {
    AQ_UNROLL
    for (int i = 0; i < 4; ++i) {
      const uint32_t word = component(v[tile / 2], tile % 2 * 2 + i / 2);
      a[i] = codes == Codes::int8 ? int8_pair(word, i % 2 * 2, d.wide_bias) : e4m3_pair(word, i % 2 * 2);
    }
  }
}

// ---- scales: the eight of a lane

__device__ inline float bf16_half(uint32_t word, int high) {
  return __uint_as_float(high ? word & 0xffff0000u : word << 16);
}

__device__ inline void load_int8(const std::byte* at, float (&s)[8]) {
  const uint2 v = *reinterpret_cast<const uint2*>(at);
  AQ_UNROLL
  for (int i = 0; i < 8; ++i)
    s[i] = static_cast<float>(static_cast<int8_t>((i < 4 ? v.x : v.y) >> 8 * (i % 4)));
}
__device__ inline void load_halves(bool fp16, const std::byte* at, float (&s)[8]) {
  const uint4 v = *reinterpret_cast<const uint4*>(at);
  AQ_UNROLL
  for (int i = 0; i < 8; ++i) {
    const uint32_t word = component(v, i / 2);
    s[i] = fp16 ? ptx::from_fp16(word >> 16 * (i % 2) & 0xffff) : bf16_half(word, i % 2);
  }
}
// `row` of lanes: the first of their eight places in a unit.
__device__ inline void load_words(ScaleWord type, const std::byte* words, const std::byte* factors, int unit,
                                  int row, float (&s)[8]) {
  const int at = unit * kBlockRows + row;
  if (type == ScaleWord::fp16 || type == ScaleWord::bf16)
    return load_halves(type == ScaleWord::fp16, words + at * 2, s);
  if (type == ScaleWord::f32) {
    const float4* v = reinterpret_cast<const float4*>(words + at * 4);
    const float4 a = v[0], b = v[1];
    s[0] = a.x, s[1] = a.y, s[2] = a.z, s[3] = a.w;
    s[4] = b.x, s[5] = b.y, s[6] = b.z, s[7] = b.w;
    return;
  }
  float factor[8];
  load_int8(words + at, s);
  load_halves(true, factors + row * 2, factor);
  AQ_UNROLL
  for (int i = 0; i < 8; ++i) s[i] *= factor[i];
}

// What value = scale · code + offset adds.
__device__ inline void load_offsets(const DecodeWeight& w, const std::byte* record, int unit, int row,
                                    const float (&scale)[8], float (&offset)[8]) {
  if (w.plan.offset == OffsetWord::minimum)
    return load_words(w.plan.scale, record + w.at.offsets, record + w.at.offset_factors, unit, row, offset);
  load_int8(record + w.at.offsets + unit * kBlockRows + row, offset);
  AQ_UNROLL
  for (int i = 0; i < 8; ++i) offset[i] = -scale[i] * (offset[i] + static_cast<float>(w.plan.zero_bias));
}

// By all threads of a block.
__device__ inline void fill(LookUp& look, const float (&table)[16]) {
  for (int i = thread_in_block(); i < 256 * kWarp; i += static_cast<int>(blockDim.x)) {
    const int pair = i / kWarp;
    look.pairs[pair][i % kWarp] = ptx::to_bf16(table[pair % 16], table[pair / 16]);
  }
}

__device__ inline Decoder decoder(const RecordPlan& plan, const LookUp* look) {
  const uint32_t bias = ptx::to_bf16(static_cast<float>(128 + plan.bias), 0.0f);
  return {bias | bias << 16, 8388608.0f + static_cast<float>(plan.bias), look};
}

}  // namespace aquatint::kernels::cuda
