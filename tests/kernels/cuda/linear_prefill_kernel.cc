// The kernel, read by the C++ compiler.
#include "kernels/cuda/linear_prefill.cu"
