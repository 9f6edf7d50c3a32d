// A number format is a value: how one number is stored in `bits` bits. Everything that stores, converts,
// lists or tests formats asks this table; there is no format enum. Bit layouts: IEEE 754, OCP 8-bit (OFP8)
// and MX 1.0 specifications; NF4: Dettmers et al., arXiv 2305.14314, Appendix E.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace aquatint::numeric {

enum class Kind { floating, integer, codebook };

struct Format {
  std::string_view name;
  int bits;  // of one code; codes of at most 8 bits are handled one per byte, in the low bits
  Kind kind;
  float max;       // largest finite magnitude
  float smallest;  // smallest positive value
  std::string_view note;

  // Exact value of a code. NaN codes decode to NaN.
  float (*decode)(uint32_t code);
  // Nearest code, ties to even (codebooks: to the lower entry), saturating at the largest finite value.
  uint32_t (*encode)(float value);

  int bytes() const { return bits <= 8 ? 1 : bits / 8; }
  // 2^bits values indexed by code, for formats of at most 8 bits.
  std::span<const float> table() const;
};

extern const Format fp32, tf32, bf16, fp16;
extern const Format fp8_e4m3, fp8_e5m2, fp8_e3m4, fp8_e2m5, fp6_e3m2, fp6_e2m3, fp4_e2m1, e8m0;
extern const Format nf4, bnb_fp4;
// Signed integers: two's complement in the low bits. Unsigned ones count from 0.
extern const Format int8, int6, int5, int4, int3, int2, uint8, uint6, uint5, uint4, uint3, uint2;

// All formats, widest first. The position in this list is the format's index in kernel tables.
std::span<const Format* const> formats();
const Format* find_format(std::string_view name);  // nullptr when unknown

// Fast paths of the two 16-bit formats and the one conversion used everywhere.
inline float bf16_to_float(uint16_t code) {
  return __builtin_bit_cast(float, static_cast<uint32_t>(code) << 16);
}
inline uint16_t float_to_bf16(float value) {
  const uint32_t u = __builtin_bit_cast(uint32_t, value);
  if ((u & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((u >> 16) | 0x40u);  // quiet NaN
  return static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
// The power of two that MX blocks whose largest magnitude is `largest` are divided by, as compressed-tensors
// takes it: 2^(floor(log2 of largest) − that of the element's maximum), with `largest` a binade up where it
// would round past the element's maximum. 2^−127 for 0.
float mx_scale(float largest, const Format& element);

float fp16_to_float(uint16_t code);
uint16_t float_to_fp16(float value);  // overflows to infinity, as IEEE conversion does

}  // namespace aquatint::numeric
