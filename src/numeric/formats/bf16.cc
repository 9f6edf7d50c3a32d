#include <cmath>

#include "numeric/format.h"

namespace aquatint::numeric {
namespace {
float decode(uint32_t code) { return bf16_to_float(static_cast<uint16_t>(code)); }
uint32_t encode(float value) {
  const uint16_t code = float_to_bf16(value);
  const bool overflowed = (code & 0x7fffu) == 0x7f80u;
  return overflowed ? code - 1u : code;  // saturate: 0x7f80 is infinity, 0x7f7f the largest number
}
}  // namespace

const Format bf16 = {"bf16", 16,    Kind::floating, 0x1.fep127f, 0x1p-133f, "upper half of FP32",
                     decode, encode};

}  // namespace aquatint::numeric
