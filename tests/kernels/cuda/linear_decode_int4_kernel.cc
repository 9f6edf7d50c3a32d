// The kernel, read by the C++ compiler.
#include "kernels/cuda/linear_decode_int4.cu"
