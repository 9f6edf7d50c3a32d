#include "kernels/cuda/emulated_set.h"

#include "kernels/cuda/sets.h"

namespace aquatint::kernels::cuda {

const KernelSet& emulated_set() {
  static const KernelSet set = [] {
    KernelSet s = make_set();
    s.name = "emulated_cuda";
    s.rows_per_step = 100;  // so that small tests have several steps
    return s;
  }();
  return set;
}

}  // namespace aquatint::kernels::cuda
