// The operations of the CUDA set, slot by slot: what each does is said in ops.h. Pointers are the device's;
// of what lies on the host only spans, structs and numbers are read, before a call returns. Calls return when
// their kernels are in the stream. `pool` is for pack() alone.
#pragma once
#include "kernels/ops.h"

namespace aquatint::kernels::cuda {

// Linears.
std::unique_ptr<PackedMatrix> pack(std::span<const tensor::QuantizedMatrix* const> parts, Precision precision,
                                   base::ThreadPool& pool);
void linear(const PackedMatrix& w, const float* x, int64_t rows, Phase phase, const float* bias,
            bool accumulate, float* y, int64_t y_row, base::ThreadPool& pool);
void linear_of(const PackedMatrix& w, const LinearInput& input, int64_t rows, Phase phase, const float* bias,
               bool accumulate, float* y, int64_t y_row, base::ThreadPool& pool);

// Rows.
void rms_norm(const float* x, const float* weight, float eps, int64_t rows, int64_t cols, float* y,
              base::ThreadPool& pool);
void rms_norm_runs(float* x, const float* weight, float eps, int64_t rows, int64_t stride, int64_t runs,
                   int64_t width, base::ThreadPool& pool);
void rope(float* x, int64_t rows, int64_t stride, int64_t heads, int64_t head_dim, const int32_t* positions,
          const float* inv_freq, float attention_factor, base::ThreadPool& pool);
void rotate_runs(const tensor::Rotation& r, bool inverse, float* x, int64_t rows, int64_t stride,
                 int64_t runs, base::ThreadPool& pool);
void swiglu(const float* gate_up, int64_t rows, int64_t cols, float* h, base::ThreadPool& pool);
void logit_stats(const float* logits, int64_t rows, int64_t cols, LogitStats* out, base::ThreadPool& pool);
void divergence(const float* reference, const float* model, int64_t rows, int64_t cols, Divergence* out,
                base::ThreadPool& pool);
void sample(const float* logits, int64_t rows, int64_t cols, const Draw* draws, int32_t* tokens,
            base::ThreadPool& pool);

// Attention.
void store_kv(const Spans& spans, const AttentionShape& shape, const float* k, const float* v, int64_t stride,
              base::ThreadPool& pool);
void rope_store_kv(const Spans& spans, const AttentionShape& shape, const float* inv_freq,
                   float attention_factor, float* qkv, int64_t stride, base::ThreadPool& pool);
void attention(const Spans& spans, const AttentionShape& shape, Precision precision, Phase phase,
               const float* q, int64_t q_stride, float* out, base::ThreadPool& pool);

// Dense products.
void add_product(const Product<float>& p);
void add_product_fp64(const Product<double>& p);
void add_cross(const CrossProduct& p, base::ThreadPool& pool);
void add_magnitudes(const float* x, int64_t rows, int64_t cols, const Magnitudes& to, base::ThreadPool& pool);

}  // namespace aquatint::kernels::cuda
