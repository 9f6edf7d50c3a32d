// The kernel, read by the C++ compiler.
#include "kernels/cuda/linear_decode_int8.cu"
