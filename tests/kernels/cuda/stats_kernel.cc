// The kernels, read by the C++ compiler.
#include "kernels/cuda/stats.cu"
