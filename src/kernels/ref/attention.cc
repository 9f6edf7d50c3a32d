#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/ref/ref.h"

namespace aquatint::kernels::ref {
namespace {

float read(const void* cache, Precision precision, int64_t i) {
  return precision == Precision::fp32 ? static_cast<const float*>(cache)[i]
                                      : numeric::bf16_to_float(static_cast<const uint16_t*>(cache)[i]);
}

void write(void* cache, Precision precision, int64_t i, float value) {
  if (precision == Precision::fp32)
    static_cast<float*>(cache)[i] = value;
  else
    static_cast<uint16_t*>(cache)[i] = numeric::float_to_bf16(value);
}

// One head of one token, which stands at `position`.
void attend(const AttentionSpan& span, const AttentionShape& shape, Precision precision, int64_t kv_head,
            int64_t position, const float* q, float* out) {
  const int64_t dim = shape.head_dim;
  const int64_t first = shape.window > 0 ? std::max<int64_t>(0, position - shape.window + 1) : 0;
  std::vector<double> weights(static_cast<size_t>(position - first + 1)), sums(static_cast<size_t>(dim), 0.0);
  for (int64_t p = first; p <= position; ++p) {
    const int64_t at = (kv_head * span.cache.capacity + p) * dim;
    double dot = 0;
    for (int64_t i = 0; i < dim; ++i) {
      const float value =
          precision == Precision::fp32 ? q[i] : numeric::bf16_to_float(numeric::float_to_bf16(q[i]));
      dot += static_cast<double>(value) * read(span.cache.keys, precision, at + i);
    }
    weights[static_cast<size_t>(p - first)] = dot * shape.scale;
  }
  const double largest = *std::max_element(weights.begin(), weights.end());
  double total = 0;
  for (double& weight : weights) total += weight = std::exp(weight - largest);
  for (int64_t p = first; p <= position; ++p)
    for (int64_t i = 0; i < dim; ++i)
      sums[static_cast<size_t>(i)] +=
          weights[static_cast<size_t>(p - first)] / total *
          read(span.cache.values, precision, (kv_head * span.cache.capacity + p) * dim + i);
  for (int64_t i = 0; i < dim; ++i) out[i] = static_cast<float>(sums[static_cast<size_t>(i)]);
}

}  // namespace

void store_kv(const AttentionSpan& span, const AttentionShape& shape, Precision precision, const float* k,
              const float* v, int64_t stride, base::ThreadPool&) {
  for (int64_t row = 0; row < span.rows; ++row)
    for (int64_t head = 0; head < shape.kv_heads; ++head)
      for (int64_t i = 0; i < shape.head_dim; ++i) {
        const int64_t from = (span.first_row + row) * stride + head * shape.head_dim + i;
        const int64_t to = (head * span.cache.capacity + span.position + row) * shape.head_dim + i;
        write(span.cache.keys, precision, to, k[from]);
        write(span.cache.values, precision, to, v[from]);
      }
}

void attention(std::span<const AttentionSpan> spans, const AttentionShape& shape, Precision precision, Phase,
               const float* q, int64_t q_stride, float* out, base::ThreadPool&) {
  const int64_t group = shape.heads / shape.kv_heads;
  for (const AttentionSpan& span : spans)
    for (int64_t row = 0; row < span.rows; ++row)
      for (int64_t head = 0; head < shape.heads; ++head)
        attend(span, shape, precision, head / group, span.position + row,
               q + (span.first_row + row) * q_stride + head * shape.head_dim,
               out + ((span.first_row + row) * shape.heads + head) * shape.head_dim);
}

}  // namespace aquatint::kernels::ref
