#include "kernels/cpu/probes.h"

#include <array>
#include <cstring>

#include "kernels/cpu/tile_unit.h"

namespace aquatint::kernels {
namespace {

// Results go here so that the loops are not removed.
volatile float g_sink;

// More than latency × throughput of any unit here. Each chain starts from operands of its own, which the
// compiler cannot know: chains that look alike would be computed once.
constexpr int kChains = 12, kWideChains = 16;  // as many as 16 and 32 registers hold

double read_portable(const std::byte* buffer, int64_t count) {
  uint64_t sums[8] = {};
  for (int64_t i = 0; i + 64 <= count; i += 64)
    for (int j = 0; j < 8; ++j) {
      uint64_t word;
      std::memcpy(&word, buffer + i + j * 8, 8);
      sums[j] ^= word;
    }
  for (const uint64_t sum : sums) g_sink = static_cast<float>(sum);
  return static_cast<double>(count / 64 * 64);
}

double multiply_portable(const std::byte* operands, int64_t steps) {
  using V = float __attribute__((vector_size(16)));
  V sums[kChains], a;
  std::memcpy(sums, operands, sizeof sums);
  std::memcpy(&a, operands + sizeof sums, sizeof a);
  for (int64_t i = 0; i < steps; ++i)
    for (V& sum : sums) sum = sum * a + a;
  for (const V& sum : sums) g_sink = sum[0];
  return static_cast<double>(steps) * kChains * 8;
}

}  // namespace
}  // namespace aquatint::kernels

#if defined(__x86_64__) && !defined(AQUATINT_PORTABLE)
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace aquatint::kernels {
namespace {

double multiply_avx2(const std::byte* operands, int64_t steps) {
  __m256 sums[kChains], a;
  std::memcpy(sums, operands, sizeof sums);
  std::memcpy(&a, operands + sizeof sums, sizeof a);
  for (int64_t i = 0; i < steps; ++i)
#pragma GCC unroll 12
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(sum, a, a);
  for (const __m256& sum : sums) g_sink = _mm256_cvtss_f32(sum);
  return static_cast<double>(steps) * kChains * 16;
}

// Four streams a quarter apart with prefetch, as the decode kernels read.
double read_avx2(const std::byte* buffer, int64_t count) {
  const int64_t quarter = count / 4 / 64 * 64;
  __m256i sums[8] = {};
  for (int64_t i = 0; i < quarter; i += 64)
#pragma GCC unroll 4
    for (int64_t s = 0; s < 4; ++s) {
      const auto* p = reinterpret_cast<const __m256i*>(buffer + s * quarter + i);
      _mm_prefetch(reinterpret_cast<const char*>(p) + 2048, _MM_HINT_T0);
      sums[2 * s] = _mm256_xor_si256(sums[2 * s], _mm256_loadu_si256(p));
      sums[2 * s + 1] = _mm256_xor_si256(sums[2 * s + 1], _mm256_loadu_si256(p + 1));
    }
  for (const __m256i& sum : sums) g_sink = static_cast<float>(_mm256_extract_epi32(sum, 0));
  return static_cast<double>(4 * quarter);
}

}  // namespace
}  // namespace aquatint::kernels
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16")
namespace aquatint::kernels {
namespace {

double multiply_avx512(const std::byte* operands, int64_t steps) {
  __m512 sums[kWideChains], a;
  std::memcpy(sums, operands, sizeof sums);
  std::memcpy(&a, operands + sizeof sums, sizeof a);
  for (int64_t i = 0; i < steps; ++i)
#pragma GCC unroll 16
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(sum, a, a);
  for (const __m512& sum : sums) g_sink = _mm512_cvtss_f32(sum);
  return static_cast<double>(steps) * kWideChains * 32;
}

double dot_int8(const std::byte* operands, int64_t steps) {
  __m512i sums[kWideChains], a;
  std::memcpy(sums, operands, sizeof sums);
  std::memcpy(&a, operands + sizeof sums, sizeof a);
  for (int64_t i = 0; i < steps; ++i)
#pragma GCC unroll 16
    for (__m512i& sum : sums) sum = _mm512_dpbusd_epi32(sum, a, a);
  for (const __m512i& sum : sums) g_sink = static_cast<float>(_mm512_cvtsi512_si32(sum));
  return static_cast<double>(steps) * kWideChains * 128;
}

double dot_bf16(const std::byte* operands, int64_t steps) {
  __m512 sums[kWideChains];
  __m512bh a;
  std::memcpy(sums, operands, sizeof sums);
  std::memcpy(&a, operands + sizeof sums, sizeof a);
  for (int64_t i = 0; i < steps; ++i)
#pragma GCC unroll 16
    for (__m512& sum : sums) sum = _mm512_dpbf16_ps(sum, a, a);
  for (const __m512& sum : sums) g_sink = _mm512_cvtss_f32(sum);
  return static_cast<double>(steps) * kWideChains * 64;
}

double read_avx512(const std::byte* buffer, int64_t count) {
  const int64_t quarter = count / 4 / 64 * 64;
  __m512i sums[4] = {};
  for (int64_t i = 0; i < quarter; i += 64)
#pragma GCC unroll 4
    for (int64_t s = 0; s < 4; ++s) {
      const std::byte* p = buffer + s * quarter + i;
      _mm_prefetch(reinterpret_cast<const char*>(p) + 2048, _MM_HINT_T0);
      sums[s] = _mm512_xor_si512(sums[s], _mm512_loadu_si512(p));
    }
  for (const __m512i& sum : sums) g_sink = static_cast<float>(_mm512_cvtsi512_si32(sum));
  return static_cast<double>(4 * quarter);
}

// Four sums and two operands; 16 × 16 sums of 32 (BF16) or 64 (int8) products each.
template <bool integer>
double multiply_tiles(const std::byte* operands, int64_t steps) {
  using T = TileUnit;
  T::configure();
  T::load<6>(operands, 64);
  T::load<7>(operands + 1024, 64);
  T::zero<0>(), T::zero<1>(), T::zero<2>(), T::zero<3>();
  steps /= 16;
  for (int64_t i = 0; i < steps; ++i) {
    if constexpr (integer)
      T::dot_int8<0, 6, 7>(), T::dot_int8<1, 6, 7>(), T::dot_int8<2, 6, 7>(), T::dot_int8<3, 6, 7>();
    else
      T::dot_bf16<0, 6, 7>(), T::dot_bf16<1, 6, 7>(), T::dot_bf16<2, 6, 7>(), T::dot_bf16<3, 6, 7>();
  }
  T::release();
  return static_cast<double>(steps) * 4 * 16 * 16 * (integer ? 128 : 64);
}

constexpr std::string_view kAvx2[] = {"avx2", "fma"};
constexpr std::string_view kAvx512[] = {"avx512f", "avx512bw", "avx512vl", "avx512dq"};
constexpr std::string_view kVnni[] = {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"};
constexpr std::string_view kBf16[] = {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_bf16"};
constexpr std::string_view kAmx[] = {"amx_tile", "amx_bf16", "amx_int8"};

}  // namespace
}  // namespace aquatint::kernels
#pragma GCC pop_options
#endif

namespace aquatint::kernels {

std::span<const Probe> compute_probes() {
  static constexpr std::array kProbes = {
#if defined(__x86_64__) && !defined(AQUATINT_PORTABLE)
    Probe{"bf16", "tdpbf16ps", kAmx, multiply_tiles<false>},
    Probe{"int8", "tdpbssd", kAmx, multiply_tiles<true>},
    Probe{"fp32", "vfmadd231ps zmm", kAvx512, multiply_avx512},
    Probe{"bf16", "vdpbf16ps zmm", kBf16, dot_bf16},
    Probe{"int8", "vpdpbusd zmm", kVnni, dot_int8},
    Probe{"fp32", "vfmadd231ps ymm", kAvx2, multiply_avx2},
#endif
    Probe{"fp32", "multiply and add", {}, multiply_portable}
  };
  return kProbes;
}

std::span<const Probe> read_probes() {
  static constexpr std::array kProbes = {
#if defined(__x86_64__) && !defined(AQUATINT_PORTABLE)
    Probe{"read", "vmovdqu zmm", kAvx512, read_avx512},
    Probe{"read", "vmovdqu ymm", kAvx2, read_avx2},
#endif
    Probe{"read", "64-bit loads", {}, read_portable}
  };
  return kProbes;
}

}  // namespace aquatint::kernels
