// How a linear's input is rounded before it meets the weight.
//
//   no scheme    Precision::fp32: left alone; bf16: to the nearest BF16, ties to even
//   int, fp8     in bf16 precision first to BF16; then q = round(clamp(x / s)) with one scale s per row
//   (dynamic) or the
//                scheme's constant one. Integers of b bits: s = max|x| / ((2^b − 1) / 2), ties to even,
//                clamped to the two's complement range. Floating formats: s = max|x| / largest. A row of
//                zeros takes s = FP32 epsilon. This is compressed-tensors' rule (calculate_qparams), in FP32,
//                division and all.
//
//   in groups    floats only: q = round(clamp(x / s)) and x becomes q · s (in bf16 precision rounded to
//   BF16). s is
//                max|x| / largest, a power of two (numeric::mx_scale), or E4M3(divisor · max|x| / largest) /
//                divisor, with E4M3's 0.125 in place of 0
//
//   outliers     (int8 per token, after Dettmers et al., "LLM.int8()", arXiv 2208.07339) magnitudes from the
//                threshold on are left out: they do not count in max|x| and their codes are 0; s is
//                max|x| / 127. They meet the weights' values as they are, in BF16 (bf16 precision). Which
//                ones is decided token by token, where bitsandbytes takes a column for all tokens of a batch
//                as soon as one is that large: a token's result must not depend on its neighbours.
//
// Codes of at most 8 bits are exact in BF16, so every set multiplies the rounded values and applies s to the
// sums.
#pragma once
#include <cstdint>

#include "kernels/ops.h"

namespace aquatint::kernels {

// values[i] · result ≈ x[i]. `values` may alias `x`.
float round_input(const numeric::ActivationScheme& scheme, Precision precision, const float* x, int64_t cols,
                  float* values);

// What `x` contributes beside the codes: itself, rounded to the precision, if it is an outlier, otherwise 0.
float outlier_of(const numeric::ActivationScheme& scheme, Precision precision, float x);

// Precision::int8's rule over integer codes: values[i] ≈ x[i] on a grid of max|x| / 127 in blocks of 64
// columns, with x already rounded to BF16.
constexpr int64_t kInputBlock = 64;
void round_blocks(const float* x, int64_t cols, float* values);

// The scale of one row whose largest magnitude is `largest`.
float input_scale(const numeric::ActivationScheme& scheme, float largest);

// BadInput unless the scheme is one that round_input knows.
void check_input_scheme(const numeric::ActivationScheme& scheme);

}  // namespace aquatint::kernels
