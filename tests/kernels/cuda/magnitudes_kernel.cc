// The kernels, read by the C++ compiler.
#include "kernels/cuda/magnitudes.cu"
