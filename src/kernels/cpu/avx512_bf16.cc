// The kernel set for AVX-512 with fast BF16 products: prompt linears over floating weights by vdpbf16ps,
// everything else as AVX-512 does it.
#if defined(__x86_64__) && !defined(AQUATINT_PORTABLE)
#include "kernels/cpu/includes.h"
#include "kernels/cpu/sets.h"
#include "kernels/cpu/vec_avx512.h"
#include "kernels/peaks.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16")

namespace aquatint::kernels::avx512 {
namespace {

// clang-format off
#include "kernels/cpu/generic.inl"
#include "kernels/cpu/linear_prompt_codes.inl"
#include "kernels/cpu/linear_bf16_pairs.inl"
#include "kernels/cpu/linear_prompt_bf16.inl"
// clang-format on

constexpr std::string_view kNeeds[] = {"avx2",     "fma",      "f16c",        "avx512f",    "avx512bw",
                                       "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16"};

}  // namespace
}  // namespace aquatint::kernels::avx512

#pragma GCC pop_options

namespace aquatint::kernels::avx512_bf16 {
namespace {

KernelSet with_bf16(KernelSet set) {
  set.name = "avx512_bf16";
  set.description = "AVX-512 with BF16 products for prompts";
  set.needs = avx512::kNeeds;
  set.worthwhile = [] {
    static const bool fast = bf16_over_fp32() > 1.5;  // 2 on Zen 4, below 1 on Sapphire Rapids
    return fast;
  };
  set.linear = avx512::linear_bf16;
  return set;
}

}  // namespace

const KernelSet set_of_kernels = with_bf16(avx512::set_of_kernels);  // whose initialization is constant

}  // namespace aquatint::kernels::avx512_bf16
#endif
