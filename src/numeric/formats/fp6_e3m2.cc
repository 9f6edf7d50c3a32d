#include "numeric/format.h"
#include "numeric/minifloat.h"

namespace aquatint::numeric {
namespace {
using Rule = Minifloat<3, 2, 3, Specials::none>;
}

const Format fp6_e3m2 = {"fp6_e3m2", Rule::bits,          Kind::floating, 28.0f,
                         0x1p-4f,    "MX E3M2; emulated", Rule::decode,   Rule::encode};

}  // namespace aquatint::numeric
