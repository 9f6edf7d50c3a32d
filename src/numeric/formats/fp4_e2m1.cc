#include "numeric/format.h"
#include "numeric/minifloat.h"

namespace aquatint::numeric {
namespace {
using Rule = Minifloat<2, 1, 1, Specials::none>;
}

const Format fp4_e2m1 = {"fp4_e2m1",   Rule::bits,  Kind::floating,
                         6.0f,         0x1p-1f,     "MX and NVFP4 E2M1; emulated before Blackwell",
                         Rule::decode, Rule::encode};

}  // namespace aquatint::numeric
