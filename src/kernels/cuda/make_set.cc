#include "kernels/cuda/repeat.h"
#include "kernels/cuda/sets.h"
#include "kernels/cuda/slots.h"

namespace aquatint::kernels::cuda {

KernelSet make_set() {
  return {
      .name = "cuda",
      .description = "NVIDIA Hopper GPUs (sm_90a)",
      .needs = {},
      .memory = memory,
      .rows_per_step = 2048,
      .pack = pack,
      .linear = linear,
      .linear_of = linear_of,
      .rms_norm = rms_norm,
      .rms_norm_runs = rms_norm_runs,
      .rope = rope,
      .store_kv = store_kv,
      .rope_store_kv = rope_store_kv,
      .attention = attention,
      .rotate_runs = rotate_runs,
      .swiglu = swiglu,
      .logit_stats = logit_stats,
      .divergence = divergence,
      .sample = sample,
      .add_product = add_product,
      .add_product_fp64 = add_product_fp64,
      .add_cross = add_cross,
      .add_magnitudes = add_magnitudes,
      .repeat = repeat,
  };
}

}  // namespace aquatint::kernels::cuda
