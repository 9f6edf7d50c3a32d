// The kernels, read by the C++ compiler.
#include "kernels/cuda/attention_plain.cu"
