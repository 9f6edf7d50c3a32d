// One source, two compilers. nvcc makes kernels for the GPU of it; any C++ compiler makes the same kernels
// for tests on machines without one, where the threads of a block take turns
// (tests/kernels/cuda/emulated_device.h). So that both can read them, kernels
//   - are launched by launch(), never by <<<>>>;
//   - keep all shared memory in one struct, shared<T>();
//   - reach instructions that C++ lacks through ptx/, one function an instruction;
//   - have blocks of one dimension, of whole warps, and call barriers and warp operations with whole warps;
//   - do not wait for other blocks.
#pragma once
#include <cmath>
#include <cstdint>

#include "kernels/cuda/device.h"
#include "kernels/cuda/repeat.h"
#ifdef __CUDACC__
#include <cuda_runtime.h>
#define AQ_UNROLL _Pragma("unroll")  // before a loop: its arrays stay in registers
#define AQ_KEEP_LOOP _Pragma("unroll 1")
#define AQ_PRAGMA(words) _Pragma(#words)
#define AQ_UNROLL_BY(count) AQ_PRAGMA(unroll(count))
#else
#include "kernels/cuda/emulated_device.h"  // of tests/
#define AQ_UNROLL
#define AQ_KEEP_LOOP
#define AQ_UNROLL_BY(count)
#endif

namespace aquatint::kernels::cuda {

constexpr int kWarp = 32;

// How a kernel is launched.
struct Launch {
  Extent grid = {}, block = {};  // blocks; threads in a block
  uint32_t shared_bytes = 0;     // sizeof(T) where the kernel asks for shared<T>(), plus its `more` bytes
  uint32_t cluster = 1;          // blocks along x that share a cluster
  bool early = false;  // may start while the kernel before it ends: it calls wait_for_previous() itself
};

template <class... Params, class... Args>
void note_launch(const Launch& l, void (*kernel)(Params...), Args&&... args) {
  notes->add(l);
  notes->add(kernel);
  (notes->add<Params>(static_cast<Params>(args)), ...);
}

#ifdef __CUDACC__

__device__ inline int thread_in_block() { return static_cast<int>(threadIdx.x); }

// The block's shared memory, aligned to 1024 bytes, as launched with Launch::shared_bytes.
template <class T>
__device__ inline T& shared() {
  extern __shared__ __align__(1024) unsigned char shared_memory[];
  return *reinterpret_cast<T*>(shared_memory);
}

template <class... Params, class... Args>
void launch(const Launch& l, Stream stream, void (*kernel)(Params...), Args&&... args) {
  if (notes) return note_launch(l, kernel, args...);
  if (l.shared_bytes > 48 * 1024)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(l.shared_bytes)),
          "shared memory of a kernel");
  cudaLaunchAttribute attributes[2];
  unsigned count = 0;
  if (l.cluster > 1) {
    attributes[count].id = cudaLaunchAttributeClusterDimension;
    attributes[count++].val.clusterDim = {l.cluster, 1, 1};
  }
  if (l.early) {
    attributes[count].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[count++].val.programmaticStreamSerializationAllowed = 1;
  }
  cudaLaunchConfig_t config{};
  config.gridDim = {l.grid.x, l.grid.y, l.grid.z};
  config.blockDim = {l.block.x, l.block.y, l.block.z};
  config.dynamicSmemBytes = l.shared_bytes;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = count;
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Params>(args)...), "start of a kernel");
}

#endif

constexpr int64_t blocks_for(int64_t items, int64_t per_block) { return (items + per_block - 1) / per_block; }

}  // namespace aquatint::kernels::cuda
