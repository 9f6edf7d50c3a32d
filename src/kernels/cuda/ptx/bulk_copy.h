// Copies from global to shared memory that the copy engine carries out (cp.async.bulk), and the barriers in
// shared memory that count their bytes (mbarrier). A barrier's phases are numbered from 0; a phase ends when
// all its arrivals and all the bytes they announced have come.
#pragma once
#include "kernels/cuda/simt.h"

namespace aquatint::kernels::cuda::ptx {

using Barrier = uint64_t;  // in shared memory

#ifdef __CUDACC__

__device__ inline uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// By one thread; others may use it behind barrier_init_fence() of that thread and a barrier of the block.
__device__ inline void barrier_init(Barrier* b, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(arrivals) : "memory");
}
__device__ inline void barrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
// One arrival that announces bytes.
__device__ inline void barrier_expect(Barrier* b, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(b)), "r"(bytes)
               : "memory");
}
// Until the phase of that parity (0, 1, 0, …) is over.
__device__ inline void barrier_wait(Barrier* b, uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}\n" ::"r"(shared_address(b)),
      "r"(parity)
      : "memory");
}
// For data that is read once.
__device__ inline uint64_t evict_first() {
  uint64_t policy;
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}
// For data that others read soon.
__device__ inline uint64_t evict_normal() {
  uint64_t policy;
  asm("createpolicy.fractional.L2::evict_normal.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}
// Addresses and bytes are multiples of 16.
__device__ inline void bulk_copy(void* to, const void* from, uint32_t bytes, Barrier* b, uint64_t policy) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, "
      "[%3], "
      "%4;" ::"r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(b)), "l"(policy)
      : "memory");
}

#else

void barrier_init(Barrier* b, uint32_t arrivals);
void barrier_init_fence();
void barrier_expect(Barrier* b, uint32_t bytes);
void barrier_wait(Barrier* b, uint32_t parity);
uint64_t evict_first();
uint64_t evict_normal();
void bulk_copy(void* to, const void* from, uint32_t bytes, Barrier* b, uint64_t policy);

#endif

}  // namespace aquatint::kernels::cuda::ptx
