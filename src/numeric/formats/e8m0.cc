#include <cmath>

#include "numeric/format.h"

namespace aquatint::numeric {
namespace {
float decode(uint32_t code) { return code == 0xff ? NAN : std::ldexp(1.0f, static_cast<int>(code) - 127); }
// Nearest power of two, ties up to the even code as the cast does; not the MX scale rule, which floors.
uint32_t encode(float value) {
  if (!(value > 0)) return value == 0 ? 0 : 0xff;
  if (std::isinf(value)) return 0xfe;
  int exponent;
  const float fraction = std::frexp(value, &exponent);  // value = fraction · 2^exponent, fraction in [0.5, 1)
  int code = exponent - 1 + 127;
  if (fraction > 0.75f || (fraction == 0.75f && (code & 1))) ++code;
  return static_cast<uint32_t>(code < 0 ? 0 : code > 0xfe ? 0xfe : code);
}
}  // namespace

const Format e8m0 = {"e8m0", 8,     Kind::floating, 0x1p127f, 0x1p-127f, "power-of-two scale of MX blocks",
                     decode, encode};

float mx_scale(float largest, const Format& element) {
  // OCP's E2M3 is full up to its last mantissa step; the others saturate from 1.75 times their top binade.
  const int kept_bits = element.bits == 6 ? 3 : 1;
  const uint32_t bumped = __builtin_bit_cast(uint32_t, largest) + (1u << (23 - kept_bits - 1));
  const int exponent = static_cast<int>(bumped >> 23) - 127 - std::ilogb(element.max);
  return std::ldexp(1.0f, exponent < -127 ? -127 : exponent);
}

}  // namespace aquatint::numeric
