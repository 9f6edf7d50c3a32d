// What ptx/exp2.h says, within half a unit in the last place.
#include "kernels/cuda/ptx/exp2.h"

namespace aquatint::kernels::cuda::ptx {

float exp2_approx(float x) {
  const float y = std::exp2(x);
  return y < 0x1p-126f ? 0.0f : y;
}

}  // namespace aquatint::kernels::cuda::ptx
