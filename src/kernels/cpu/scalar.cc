// The portable kernel set: the generic kernels over compiler vectors.
#include "kernels/cpu/includes.h"
#include "kernels/cpu/sets.h"
#include "kernels/cpu/vec_scalar.h"

namespace aquatint::kernels::scalar {
namespace {

#include "kernels/cpu/generic.inl"

}  // namespace

const KernelSet set_of_kernels = {
    .name = "scalar",
    .description = "portable C++, any architecture",
    .needs = {},
    .pack = pack_strips,
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
    .add_product = add_product<float>,
    .add_product_fp64 = add_product<double>,
    .add_cross = add_cross,
    .add_magnitudes = add_magnitudes,
};

}  // namespace aquatint::kernels::scalar
