// kernels/input_rounding.h's rules as the GPU's kernel takes them.
#pragma once
#include "kernels/cuda/linear_input.h"
#include "kernels/ops.h"

namespace aquatint::kernels::cuda {

// `blocks`: Precision::int8's, of integer codes.
InputRule input_rule(const numeric::ActivationScheme& scheme, Precision precision, bool blocks);

}  // namespace aquatint::kernels::cuda
