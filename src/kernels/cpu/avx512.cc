// The kernel set for AVX-512: the generic kernels over 512-bit registers.
#if defined(__x86_64__) && !defined(AQUATINT_PORTABLE)
#include "kernels/cpu/includes.h"
#include "kernels/cpu/sets.h"
#include "kernels/cpu/vec_avx512.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")

namespace aquatint::kernels::avx512 {
namespace {

// clang-format off
#include "kernels/cpu/generic.inl"
#include "kernels/cpu/linear_prompt_codes.inl"
// clang-format on

constexpr std::string_view kNeeds[] = {"avx2",     "fma",      "f16c",     "avx512f",
                                       "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"};

}  // namespace
}  // namespace aquatint::kernels::avx512

#pragma GCC pop_options

namespace aquatint::kernels::avx512 {

constinit const KernelSet set_of_kernels = {
    .name = "avx512",
    .description = "AVX-512 with VNNI",
    .needs = kNeeds,
    .pack = pack_strips,
    .linear = linear_any,
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

}  // namespace aquatint::kernels::avx512
#endif
