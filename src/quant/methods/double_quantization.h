// bitsandbytes' second level: the FP32 scales of blocks become 8-bit codes in runs of 256, around their mean.
// Dettmers et al., arXiv 2305.14314, §3 "Double Quantization"; the code book is the signed dynamic map of
// arXiv 2110.02861.
#pragma once
#include <array>
#include <vector>

#include "tensor/quantized_matrix.h"

namespace aquatint::quant {

// 256 ascending values in [−1, 1], dense near zero.
const std::array<float, 256>& dynamic_map();

// `scales` ≥ 0, one per block. The result's at(i) is the scale that readers will see.
tensor::Scales double_quantize(const std::vector<float>& scales);

}  // namespace aquatint::quant
