#include "numeric/format.h"
#include "numeric/minifloat.h"

namespace aquatint::numeric {
namespace {
using Rule = Minifloat<3, 4, 3, Specials::none>;
}

const Format fp8_e3m4 = {"fp8_e3m4",   Rule::bits,  Kind::floating,
                         31.0f,        0x1p-6f,     "E3M4: more mantissa for well-behaved tensors; emulated",
                         Rule::decode, Rule::encode};

}  // namespace aquatint::numeric
