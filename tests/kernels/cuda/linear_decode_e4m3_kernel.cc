// The kernel, read by the C++ compiler.
#include "kernels/cuda/linear_decode_e4m3.cu"
