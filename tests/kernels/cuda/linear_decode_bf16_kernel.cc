// The kernel, read by the C++ compiler.
#include "kernels/cuda/linear_decode_bf16.cu"
