// The kernel set for AVX2: the generic kernels over pairs of 256-bit registers.
#if defined(__x86_64__) && !defined(AQUATINT_PORTABLE)
#include "kernels/cpu/includes.h"
#include "kernels/cpu/sets.h"
#include "kernels/cpu/vec_avx2.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")

namespace aquatint::kernels::avx2 {
namespace {

#include "kernels/cpu/generic.inl"

constexpr std::string_view kNeeds[] = {"avx2", "fma", "f16c"};

}  // namespace
}  // namespace aquatint::kernels::avx2

#pragma GCC pop_options

namespace aquatint::kernels::avx2 {

const KernelSet set_of_kernels = {
    .name = "avx2",
    .description = "AVX2 and FMA",
    .needs = kNeeds,
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

}  // namespace aquatint::kernels::avx2
#endif
