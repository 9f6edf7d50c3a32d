#include "kernels/cuda/emulated_set.h"

#include "kernels/cuda/slots.h"
#include "kernels/ref/ref.h"

namespace aquatint::kernels::cuda {

const KernelSet& emulated_set() {
  static const KernelSet set = [] {
    KernelSet s = ref::set;
    s.name = "emulated_cuda";
    s.rms_norm = rms_norm;
    s.rms_norm_runs = rms_norm_runs;
    s.rope = rope;
    s.store_kv = store_kv;
    s.attention = attention;
    s.rotate_runs = rotate_runs;
    s.swiglu = swiglu;
    s.logit_stats = logit_stats;
    s.divergence = divergence;
    return s;
  }();
  return set;
}

}  // namespace aquatint::kernels::cuda
