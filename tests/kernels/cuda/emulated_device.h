// What kernels of src/kernels/cuda see of CUDA when a C++ compiler reads them: the threads of a block are
// fibers that take turns on the caller's thread, blocks run one after the other, device memory is the host's.
//
// Warp operations and barriers wait until all their threads have come to the same one; a kernel in which they
// come to different ones, or wait for ever, fails the test with its name. Shared memory is filled with NaNs
// before each block, and has exactly the bytes it was launched with, so that AddressSanitizer sees every step
// beyond them.
#pragma once
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>

#include "kernels/cuda/device.h"
#include "kernels/cuda/repeat.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#define __restrict__
#define __grid_constant__

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  uint32_t x, y;
};
struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};
struct alignas(8) int2 {
  int32_t x, y;
};
struct alignas(16) int4 {
  int32_t x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(uint32_t x, uint32_t y) { return {x, y}; }
inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }

namespace aquatint::kernels::cuda {

struct Launch;
template <class... Params, class... Args>
void note_launch(const Launch& l, void (*kernel)(Params...), Args&&... args);

namespace emulated {

// Few, so that small tests have blocks with several pieces of work.
inline int multiprocessors = 3;

// Of the thread whose turn it is.
Extent thread_index();
Extent block_index();
Extent block_size();
Extent grid_size();
std::span<std::byte> shared_memory();

void run(const Launch& launch, const std::function<void()>& thread);

// Waits until all threads of the aligned group of `count` neighbours have called it with the same `what`;
// returns what all have given, in thread order, `stride` bytes apart. `bytes` at most kExchange.
constexpr size_t kExchange = 1024;
const std::byte* exchange(int count, const char* what, const void* given, size_t bytes, size_t& stride);

// Threads of the same barrier: those of the block, or the next `count` of those that name `id`.
void barrier(int id, int count);
// Lets others work until condition() holds.
void wait_until(const char* what, const std::function<bool()>& condition);

// All `count` neighbours give an In; each gets f(its index, of), where of(i) is what neighbour i gave.
template <class Out, class In, class F>
Out collective(int count, const char* what, const In& in, F f) {
  static_assert(sizeof(In) <= kExchange);
  size_t stride = 0;
  const std::byte* all = exchange(count, what, &in, sizeof(In), stride);
  const auto of = [&](int i) {
    In other;
    std::memcpy(&other, all + static_cast<size_t>(i) * stride, sizeof(In));
    return other;
  };
  return f(static_cast<int>(thread_index().x) % count, of);
}

}  // namespace emulated

#define threadIdx (::aquatint::kernels::cuda::emulated::thread_index())
#define blockIdx (::aquatint::kernels::cuda::emulated::block_index())
#define blockDim (::aquatint::kernels::cuda::emulated::block_size())
#define gridDim (::aquatint::kernels::cuda::emulated::grid_size())

inline int thread_in_block() { return static_cast<int>(threadIdx.x); }

template <class T>
T& shared() {
  return *reinterpret_cast<T*>(emulated::shared_memory().data());
}

template <class... Params, class... Args>
void launch(const Launch& l, Stream, void (*kernel)(Params...), Args&&... args) {
  if (notes) return note_launch(l, kernel, args...);
  emulated::run(l, [&] { kernel(static_cast<Params>(args)...); });
}

}  // namespace aquatint::kernels::cuda

// CUDA's own functions that kernels call.
inline void __syncthreads() { aquatint::kernels::cuda::emulated::barrier(0, 0); }
inline void __threadfence() {}
inline void __syncwarp(uint32_t = ~0u) {
  aquatint::kernels::cuda::emulated::collective<int>(32, "__syncwarp", 0, [](int, auto) { return 0; });
}
template <class T>
T __shfl_xor_sync(uint32_t, T value, int mask) {
  return aquatint::kernels::cuda::emulated::collective<T>(
      32, "__shfl_xor_sync", value, [mask](int lane, auto of) { return of(lane ^ mask); });
}
template <class T>
T __shfl_sync(uint32_t, T value, int from) {
  return aquatint::kernels::cuda::emulated::collective<T>(32, "__shfl_sync", value,
                                                          [from](int, auto of) { return of(from & 31); });
}
template <class T>
T __shfl_down_sync(uint32_t, T value, unsigned by) {
  return aquatint::kernels::cuda::emulated::collective<T>(
      32, "__shfl_down_sync", value, [by](int lane, auto of) {
        return of(lane + static_cast<int>(by) < 32 ? lane + static_cast<int>(by) : lane);
      });
}
inline uint32_t __ballot_sync(uint32_t, int predicate) {
  return aquatint::kernels::cuda::emulated::collective<uint32_t>(32, "__ballot_sync", predicate,
                                                                 [](int, auto of) {
                                                                   uint32_t bits = 0;
                                                                   for (int i = 0; i < 32; ++i)
                                                                     bits |= (of(i) != 0 ? 1u : 0u) << i;
                                                                   return bits;
                                                                 });
}
template <class T>
T atomicAdd(T* at, T value) {
  const T before = *at;
  *at = before + value;
  return before;
}
inline int __popc(uint32_t bits) { return std::popcount(bits); }
inline int __ffs(int bits) { return bits == 0 ? 0 : std::countr_zero(static_cast<uint32_t>(bits)) + 1; }
inline int __clz(int bits) { return std::countl_zero(static_cast<uint32_t>(bits)); }
inline uint32_t __float_as_uint(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
inline float __uint_as_float(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
// Byte i of the result is the one of {b, a} (a low) that nibble i of `selector` names.
inline uint32_t __byte_perm(uint32_t a, uint32_t b, uint32_t selector) {
  const uint64_t bytes = static_cast<uint64_t>(b) << 32 | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i)
    result |= static_cast<uint32_t>(bytes >> 8 * (selector >> 4 * i & 7) & 0xff) << 8 * i;
  return result;
}
inline float __fdividef(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1 / a; }
inline float __expf(float x) { return std::exp(x); }
