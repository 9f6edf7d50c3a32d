// AMX kernels over a model of the tile unit: their packing, padding, edges and arithmetic, on machines
// without AMX.

// As in src/CMakeLists.txt for the kernels: g++ 12's false alarms, and vector types that cross no library's
// border.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

#include <gtest/gtest.h>

#include "kernels/cpu/includes.h"
#include "kernels/guarded.h"
#include "kernels/tile_model.h"

#if defined(__x86_64__) && !defined(AQUATINT_PORTABLE)
#include "kernels/cpu/sets.h"
#include "kernels/cpu/vec_avx512.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
namespace aquatint::kernels::avx512 {
namespace {
// clang-format off
#include "kernels/cpu/generic.inl"
#include "kernels/cpu/linear_bf16_pairs.inl"
#include "kernels/cpu/amx_linear.inl"
#include "kernels/cpu/amx_attention.inl"
// clang-format on
}  // namespace
}  // namespace aquatint::kernels::avx512
#pragma GCC pop_options

namespace aquatint::kernels {

const KernelSet* modelled_amx() {
  static const KernelSet set = [] {
    KernelSet s = avx512::set_of_kernels;
    s.name = "modelled_amx";
    s.linear = avx512::linear_amx<TileModel>;
    s.attention = avx512::attention_amx<TileModel>;
    return s;
  }();
  return set.usable() ? &set : nullptr;
}

}  // namespace aquatint::kernels
#else
namespace aquatint::kernels {
const KernelSet* modelled_amx() { return nullptr; }
}  // namespace aquatint::kernels
#endif
