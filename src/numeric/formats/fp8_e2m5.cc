#include "numeric/format.h"
#include "numeric/minifloat.h"

namespace aquatint::numeric {
namespace {
using Rule = Minifloat<2, 5, 1, Specials::none>;
}

const Format fp8_e2m5 = {"fp8_e2m5",   Rule::bits,  Kind::floating,
                         7.875f,       0x1p-5f,     "E2M5: nearly an integer grid; emulated",
                         Rule::decode, Rule::encode};

}  // namespace aquatint::numeric
