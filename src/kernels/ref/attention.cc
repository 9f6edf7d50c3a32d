#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/kv_layout.h"
#include "kernels/ref/kv_codes.h"
#include "kernels/ref/ref.h"

namespace aquatint::kernels::ref {
namespace {

float decode(KvFormat format, uint32_t code) {
  if (format == KvFormat::fp32) return numeric::fp32.decode(code);
  if (format == KvFormat::bf16) return numeric::bf16.decode(code);
  return format == KvFormat::int8 ? numeric::int8.decode(code) : numeric::fp8_e4m3.decode(code);
}

// One head of a cache as one query sees it.
struct Head {
  KvBlocks blocks;
  int64_t exact_from;  // int4: positions below are read as codes, others from the rings

  double key(int64_t p, int64_t d) const {
    const KvLayout& l = blocks.layout;
    if (l.format == KvFormat::int4 && p >= exact_from)
      return exact(
          get_code(blocks.rings + blocks.ring.key_lane(p % blocks.recent, d), blocks.ring.per_lane, d));
    const auto [block, at] = blocks.at(p);
    const uint32_t code = get_code(block + l.codes.key_lane(at, d), l.codes.per_lane, d);
    return l.format == KvFormat::int4 ? in_pair(code, block + l.key_pairs(at) + d * 4)
                                      : number(code, block + l.key_scales + at * 4);
  }
  double value(int64_t p, int64_t d) const {
    const KvLayout& l = blocks.layout;
    const int64_t slot = blocks.recent > 0 ? p % blocks.recent : 0;
    if (l.format == KvFormat::int4 && p >= exact_from)
      return exact(get_code(blocks.rings + blocks.ring.value_lane(slot, d), blocks.ring.per_lane, slot));
    const auto [block, at] = blocks.at(p);
    const uint32_t code = get_code(block + l.codes.value_lane(at, d), l.codes.per_lane, at);
    const std::byte* scales = block + l.value_scales + at * 4;
    return l.format == KvFormat::int4 ? in_pair(code, scales) : number(code, scales);
  }

 private:
  double number(uint32_t code, const std::byte* scale) const {
    const KvFormat format = blocks.layout.format;
    const bool scaled = format == KvFormat::int8 || format == KvFormat::fp8_e4m3;
    return double{decode(format, code)} * (scaled ? base::load<float>(scale) : 1.0f);
  }
  static double exact(uint32_t code) { return numeric::bf16.decode(code); }
  static double in_pair(uint32_t code, const std::byte* pair) {
    const double scale = numeric::bf16_to_float(base::load<uint16_t>(pair));
    return code * scale + numeric::bf16_to_float(base::load<uint16_t>(pair + 2));
  }
};

// What one token, which stands at `position`, sees of one head.
struct Visible {
  int64_t count;
  std::vector<double> keys, values;  // [count][head_dim]
};

Visible visible(const Head& head, const AttentionShape& shape, int64_t position) {
  const int64_t first = shape.window > 0 ? std::max<int64_t>(0, position - shape.window + 1) : 0;
  Visible seen{position + 1 - first, {}, {}};
  for (int64_t p = first; p <= position; ++p)
    for (int64_t i = 0; i < shape.head_dim; ++i) {
      seen.keys.push_back(head.key(p, i));
      seen.values.push_back(head.value(p, i));
    }
  return seen;
}

// One query head of one token.
void attend(const Visible& seen, const AttentionShape& shape, Precision precision, const float* q,
            float* out) {
  const int64_t dim = shape.head_dim;
  std::vector<double> weights, sums(static_cast<size_t>(dim), 0.0);
  for (int64_t p = 0; p < seen.count; ++p) {
    double dot = 0;
    for (int64_t i = 0; i < dim; ++i) {
      const float value =
          precision == Precision::fp32 ? q[i] : numeric::bf16_to_float(numeric::float_to_bf16(q[i]));
      dot += value * seen.keys[static_cast<size_t>(p * dim + i)];
    }
    weights.push_back(dot * shape.scale);
  }
  const double largest = *std::max_element(weights.begin(), weights.end());
  double total = 0;
  for (double& weight : weights) total += weight = std::exp(weight - largest);
  for (int64_t p = 0; p < seen.count; ++p)
    for (int64_t i = 0; i < dim; ++i)
      sums[static_cast<size_t>(i)] +=
          weights[static_cast<size_t>(p)] / total * seen.values[static_cast<size_t>(p * dim + i)];
  for (int64_t i = 0; i < dim; ++i) out[i] = static_cast<float>(sums[static_cast<size_t>(i)]);
}

}  // namespace

void attention(const Spans& spans, const AttentionShape& shape, Precision precision, Phase, const float* q,
               int64_t q_stride, float* out, base::ThreadPool&) {
  const int64_t group = shape.heads / shape.kv_heads;
  for (const AttentionSpan& span : spans.list)
    for (int64_t row = 0; row < span.rows; ++row)
      for (int64_t i = 0; i < shape.kv_heads; ++i) {
        const int64_t position = span.position + row, at = span.first_row + row;
        const Visible seen =
            visible({kv_blocks(span.cache, shape, i), kv_exact_from(position)}, shape, position);
        for (int64_t head = i * group; head < (i + 1) * group; ++head)
          attend(seen, shape, precision, q + at * q_stride + head * shape.head_dim,
                 out + (at * shape.heads + head) * shape.head_dim);
      }
}

}  // namespace aquatint::kernels::ref
