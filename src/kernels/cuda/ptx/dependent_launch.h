// Kernels that start before the one before them ends (Launch::early; PTX ISA, "griddepcontrol").
#pragma once
#include "kernels/cuda/simt.h"

namespace aquatint::kernels::cuda::ptx {

#ifdef __CUDACC__

// Until the kernel before has ended and its results are there. Every kernel that is launched early calls it
// before it reads what others wrote or writes what others read.
__device__ inline void wait_for_previous() { asm volatile("griddepcontrol.wait;" ::: "memory"); }
// The next kernel, if it is launched early, may start where there is room, once all blocks have said so.
__device__ inline void let_next_start() { asm volatile("griddepcontrol.launch_dependents;"); }

#else

inline void wait_for_previous() {}
inline void let_next_start() {}

#endif

}  // namespace aquatint::kernels::cuda::ptx
