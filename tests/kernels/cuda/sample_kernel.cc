// The kernel, read by the C++ compiler.
#include "kernels/cuda/sample.cu"
