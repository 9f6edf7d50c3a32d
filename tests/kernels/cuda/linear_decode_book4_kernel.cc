// The kernel, read by the C++ compiler.
#include "kernels/cuda/linear_decode_book4.cu"
