#include "kernels/ref/ref.h"

namespace aquatint::kernels::ref {

const KernelSet set = {
    .name = "ref",
    .description = "the definition: double sums, one thread",
    .needs = {},
    .pack = pack,
    .linear = linear,
    .rms_norm = rms_norm,
    .rms_norm_runs = rms_norm_runs,
    .rope = rope,
    .store_kv = store_kv,
    .attention = attention,
    .rotate_runs = rotate_runs,
    .swiglu = swiglu,
    .logit_stats = logit_stats,
    .divergence = divergence,
    .add_product = add_product,
    .add_product_fp64 = add_product_fp64,
    .add_cross = add_cross,
    .add_magnitudes = add_magnitudes,
};

}  // namespace aquatint::kernels::ref
