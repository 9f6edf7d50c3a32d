#include "numeric/format.h"
#include "numeric/minifloat.h"

namespace aquatint::numeric {
namespace {
using Rule = Minifloat<2, 3, 1, Specials::none>;
}

const Format fp6_e2m3 = {"fp6_e2m3", Rule::bits,          Kind::floating, 7.5f,
                         0x1p-3f,    "MX E2M3; emulated", Rule::decode,   Rule::encode};

}  // namespace aquatint::numeric
