#include "numeric/format.h"
#include "numeric/minifloat.h"

namespace aquatint::numeric {
namespace {
using Rule = Minifloat<5, 10, 15, Specials::ieee>;
}

const Format fp16 = {"fp16", 16, Kind::floating, 65504.0f, 0x1p-24f, "IEEE half", Rule::decode, Rule::encode};

// Exact integer route (no libm): a half's exponent and mantissa placed in a float, rescaled by 2^112.
float fp16_to_float(uint16_t code) {
  const uint32_t sign = static_cast<uint32_t>(code & 0x8000u) << 16;
  const uint32_t magnitude = code & 0x7fffu;
  if (magnitude >= 0x7c00u)
    return __builtin_bit_cast(float, sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
  const float value = __builtin_bit_cast(float, magnitude << 13) * 0x1p112f;
  return __builtin_bit_cast(float, sign | __builtin_bit_cast(uint32_t, value));
}

uint16_t float_to_fp16(float value) {
  if (std::fabs(value) >= 65520.0f) return std::signbit(value) ? 0xfc00u : 0x7c00u;
  return static_cast<uint16_t>(Rule::encode(value));
}

}  // namespace aquatint::numeric
