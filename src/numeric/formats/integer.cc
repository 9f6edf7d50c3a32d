// The integer formats: one rule, many widths.
#include <cmath>

#include "numeric/format.h"

namespace aquatint::numeric {
namespace {

template <int bits, bool is_signed>
struct Integer {
  static constexpr int low = is_signed ? -(1 << (bits - 1)) : 0;
  static constexpr int high = is_signed ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
  static constexpr uint32_t mask = (1u << bits) - 1;

  static float decode(uint32_t code) {
    const int value = static_cast<int>(code & mask);
    return static_cast<float>(value > high ? value - (1 << bits) : value);
  }
  static uint32_t encode(float value) {
    if (std::isnan(value)) return 0;
    const float rounded = std::nearbyint(value);
    const int clamped = rounded <= low ? low : rounded >= high ? high : static_cast<int>(rounded);
    return static_cast<uint32_t>(clamped) & mask;
  }
};

template <int bits, bool is_signed>
constexpr Format integer(std::string_view name, std::string_view note) {
  using Rule = Integer<bits, is_signed>;
  return {name, bits, Kind::integer, static_cast<float>(Rule::high), 1.0f, note, Rule::decode, Rule::encode};
}

}  // namespace

const Format int8 = integer<8, true>("int8", "native dot products on Ampere to Hopper, VNNI and AMX");
const Format int6 = integer<6, true>("int6", "GGUF Q6_K codes");
const Format int5 = integer<5, true>("int5", "GGUF Q5_0 codes");
const Format int4 = integer<4, true>("int4", "no tensor core on Hopper: unpacked to 16 bit");
const Format int3 = integer<3, true>("int3", "unpacked to 16 bit");
const Format int2 = integer<2, true>("int2", "unpacked to 16 bit");
const Format uint8 = integer<8, false>("uint8", "codes with a zero-point or minimum");
const Format uint6 = integer<6, false>("uint6", "GGUF K-quant scales");
const Format uint5 = integer<5, false>("uint5", "GGUF Q5_1, Q5_K codes");
const Format uint4 = integer<4, false>("uint4", "codes with a zero-point or minimum");
const Format uint3 = integer<3, false>("uint3", "codes with a zero-point or minimum");
const Format uint2 = integer<2, false>("uint2", "GGUF Q2_K codes");

}  // namespace aquatint::numeric
