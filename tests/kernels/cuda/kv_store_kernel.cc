// The kernels, read by the C++ compiler.
#include "kernels/cuda/kv_store.cu"
