// Copies from global to shared memory that go on while the thread does (cp.async), 16 bytes each, in groups
// that end in the order in which they were closed. What a thread copied, others may read behind its wait and
// a barrier.
#pragma once
#include "kernels/cuda/simt.h"

namespace aquatint::kernels::cuda::ptx {

#ifdef __CUDACC__

// Both addresses are multiples of 16. Where `valid` is false nothing is read and zeros are written.
__device__ inline void copy_async(void* to, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                   static_cast<uint32_t>(__cvta_generic_to_shared(to))),
               "l"(from), "r"(valid ? 16 : 0)
               : "memory");
}
__device__ inline void close_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Until all but the newest `groups` closed groups of the thread are there.
template <int groups>
__device__ inline void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory");
}

#else

void copy_async(void* to, const void* from, bool valid);
void close_copies();
void wait_copies_but(int groups);
template <int groups>
void wait_copies() {
  wait_copies_but(groups);
}

#endif

}  // namespace aquatint::kernels::cuda::ptx
