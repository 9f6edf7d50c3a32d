#include "numeric/format.h"
#include "numeric/minifloat.h"

namespace aquatint::numeric {
namespace {
using Rule = Minifloat<5, 2, 15, Specials::ieee>;
}

const Format fp8_e5m2 = {"fp8_e5m2",   Rule::bits,  Kind::floating,
                         57344.0f,     0x1p-16f,    "OCP E5M2: IEEE-like; native on Hopper and Ada",
                         Rule::decode, Rule::encode};

}  // namespace aquatint::numeric
