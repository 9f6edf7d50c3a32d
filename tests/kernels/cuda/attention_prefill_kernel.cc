// The kernels, read by the C++ compiler.
#include "kernels/cuda/attention_prefill.cu"
