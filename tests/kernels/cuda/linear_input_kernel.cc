// The kernel, read by the C++ compiler.
#include "kernels/cuda/linear_input.cu"
