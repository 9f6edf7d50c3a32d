#include "numeric/format.h"

namespace aquatint::numeric {
namespace {
float decode(uint32_t code) { return __builtin_bit_cast(float, code); }
uint32_t encode(float value) { return __builtin_bit_cast(uint32_t, value); }
}  // namespace

const Format fp32 = {
    "fp32", 32, Kind::floating, 3.40282347e38f, 0x1p-149f, "IEEE single; the reference here", decode, encode};

}  // namespace aquatint::numeric
