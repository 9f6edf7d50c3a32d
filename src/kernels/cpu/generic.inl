// All generic kernels, included inside an instruction set's namespace after its vec_*.h. The order matters.
// clang-format off
#include "kernels/cpu/math.inl"
#include "kernels/cpu/rounding.inl"
#include "kernels/cpu/rows.inl"
#include "kernels/cpu/tile.inl"
#include "kernels/cpu/linear_common.inl"
#include "kernels/cpu/linear_inputs.inl"
#include "kernels/cpu/linear_integer.inl"
#include "kernels/cpu/linear_decode.inl"
#include "kernels/cpu/linear_prefill.inl"
#include "kernels/cpu/kv_read.inl"
#include "kernels/cpu/kv_store.inl"
#include "kernels/cpu/attention.inl"
#include "kernels/cpu/attention_prefill.inl"
#include "kernels/cpu/attention_decode.inl"
#include "kernels/cpu/stats.inl"
// clang-format on
