// The kernel, read by the C++ compiler.
#include "kernels/cuda/products.cu"
