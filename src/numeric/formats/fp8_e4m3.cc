#include "numeric/format.h"
#include "numeric/minifloat.h"

namespace aquatint::numeric {
namespace {
using Rule = Minifloat<4, 3, 7, Specials::nan_only>;
}

const Format fp8_e4m3 = {"fp8_e4m3",     Rule::bits,
                         Kind::floating, 448.0f,
                         0x1p-9f,        "OCP E4M3: no infinity, one NaN; native on Hopper and Ada",
                         Rule::decode,   Rule::encode};

}  // namespace aquatint::numeric
