// Schemes beyond the presets, put together in words:
//   WEIGHTS[/INPUTS], each FORMAT:GRANULARITY, weights also with :asym
// "int4:group64", "int8:tensor/int8:token", "fp8_e5m2:channel", "int8:channel/int8:tensor",
// "int3:group32:asym". Weights: integers and floats of at most 8 bits, per tensor, channel or group, with
// FP32 scales, in groups BF16 ones. Inputs: the same formats, per token (dynamic) or tensor (calibrated).
#pragma once
#include <string_view>

#include "numeric/scheme.h"

namespace aquatint::numeric {

// nullptr when the words say no such scheme. The same words give the same object, which lives on.
const Scheme* composed_scheme(std::string_view words);
// The one with the formats and granularities of `scheme`; nullptr when words cannot say it.
const Scheme* composed_like(const Scheme& scheme);

}  // namespace aquatint::numeric
