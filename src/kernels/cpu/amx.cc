// The kernel set for AMX: prompt linears on tiles, everything else as AVX-512 does it.
#if defined(__x86_64__) && !defined(AQUATINT_PORTABLE)
#include "kernels/cpu/includes.h"
#include "kernels/cpu/sets.h"
#include "kernels/cpu/tile_unit.h"
#include "kernels/cpu/vec_avx512.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,prfchw")

namespace aquatint::kernels::avx512 {
namespace {

// clang-format off
#include "kernels/cpu/generic.inl"
#include "kernels/cpu/linear_bf16_pairs.inl"
#include "kernels/cpu/amx_linear.inl"
#include "kernels/cpu/amx_attention.inl"
// clang-format on

constexpr std::string_view kNeeds[] = {"avx2",     "fma",      "f16c",     "avx512f",
                                       "avx512bw", "avx512dq", "avx512vl", "avx512_vnni",
                                       "amx_tile", "amx_bf16", "amx_int8"};

}  // namespace
}  // namespace aquatint::kernels::avx512

#pragma GCC pop_options

namespace aquatint::kernels::amx {

namespace {
KernelSet with_tiles(KernelSet set) {
  set.name = "amx";
  set.description = "AMX tiles for prompts, AVX-512 for the rest";
  set.needs = avx512::kNeeds;
  set.linear = avx512::linear_amx<TileUnit>;
  set.attention = avx512::attention_amx<TileUnit>;
  return set;
}
}  // namespace

const KernelSet set_of_kernels = with_tiles(avx512::set_of_kernels);  // whose initialization is constant

}  // namespace aquatint::kernels::amx
#endif
