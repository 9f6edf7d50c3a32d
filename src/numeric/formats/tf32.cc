#include "numeric/format.h"

namespace aquatint::numeric {
namespace {
// FP32 with the low 13 mantissa bits rounded away; stored in 32 bits.
float decode(uint32_t code) { return __builtin_bit_cast(float, code); }
uint32_t encode(float value) {
  const uint32_t u = __builtin_bit_cast(uint32_t, value);
  if ((u & 0x7f800000u) == 0x7f800000u) return u;
  const uint32_t rounded = (u + 0xfffu + ((u >> 13) & 1u)) & ~0x1fffu;
  return (rounded & 0x7f800000u) == 0x7f800000u ? (u & 0x80000000u) | 0x7f7fe000u : rounded;
}
}  // namespace

const Format tf32 = {"tf32",       32,        Kind::floating,
                     0x1.ffcp127f, 0x1p-136f, "tensor-core FP32 input: 10-bit mantissa",
                     decode,       encode};

}  // namespace aquatint::numeric
