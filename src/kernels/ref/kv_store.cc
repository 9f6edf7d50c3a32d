// Keys and values into a cache, code by code.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "kernels/kv_layout.h"
#include "kernels/ref/kv_codes.h"
#include "kernels/ref/ref.h"

namespace aquatint::kernels::ref {
namespace {

using numeric::bf16_to_float;
using numeric::float_to_bf16;

uint32_t encode(KvFormat format, float x) {
  if (format == KvFormat::fp32) return numeric::fp32.encode(x);
  if (format == KvFormat::bf16) return float_to_bf16(x);
  return format == KvFormat::int8 ? numeric::int8.encode(x) : numeric::fp8_e4m3.encode(x);
}

// One position of one head.
struct Row {
  std::span<const float> values;
  int64_t position;
  float calibrated = 0;  // scale; 0: none
};

// `calibrated` > 0 instead of the row's own.
float scale_of(KvFormat format, std::span<const float> values, float calibrated) {
  if (format != KvFormat::int8 && format != KvFormat::fp8_e4m3) return 1;
  if (calibrated > 0) return calibrated;
  float largest = 0;
  for (const float x : values) largest = std::max(largest, std::fabs(x));
  return kv_scale(format, largest);
}

// scales < 0: the format has none.
void store_key(std::byte* head, const KvPlane& plane, KvFormat format, int64_t scales, const Row& row) {
  const float scale = scale_of(format, row.values, row.calibrated);
  if (scales >= 0) base::store(head + scales + row.position * 4, scale);
  for (int64_t d = 0; d < base::round_up(std::ssize(row.values), plane.per_lane); ++d)
    put_code(head + plane.key_lane(row.position, d), plane.per_lane, d,
             d < std::ssize(row.values) ? encode(format, row.values[static_cast<size_t>(d)] / scale) : 0);
}

void store_value(std::byte* head, const KvPlane& plane, KvFormat format, int64_t scales, const Row& row) {
  const float scale = scale_of(format, row.values, row.calibrated);
  if (scales >= 0) base::store(head + scales + row.position * 4, scale);
  for (int64_t d = 0; d < std::ssize(row.values); ++d)
    put_code(head + plane.value_lane(row.position, d), plane.per_lane, row.position,
             encode(format, row.values[static_cast<size_t>(d)] / scale));
}

// 4-bit codes of BF16 numbers under one pair, which is stored at `pair`.
std::vector<uint32_t> quantize(std::span<const float> values, std::byte* pair) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const uint16_t minimum = float_to_bf16(*low);
  uint16_t scale = float_to_bf16((*high - *low) / 15);
  if (scale == 0) scale = float_to_bf16(std::numeric_limits<float>::epsilon());
  base::store(pair, scale);
  base::store(pair + 2, minimum);
  std::vector<uint32_t> codes;
  for (const float x : values)
    codes.push_back(static_cast<uint32_t>(
        std::clamp(std::nearbyint((x - bf16_to_float(minimum)) / bf16_to_float(scale)), 0.0f, 15.0f)));
  return codes;
}

// A whole group of int4, out of the rings.
void quantize_group(const KvBlocks& blocks, int64_t head_dim, int64_t begin) {
  const KvLayout& l = blocks.layout;
  const KvPlane& ring = blocks.ring;
  const auto [block, at] = blocks.at(begin);
  const auto key = [&](int64_t p, int64_t d) {
    const int64_t slot = (begin + p) % blocks.recent;
    return bf16_to_float(
        static_cast<uint16_t>(get_code(blocks.rings + ring.key_lane(slot, d), ring.per_lane, d)));
  };
  const auto value = [&](int64_t p, int64_t d) {
    const int64_t slot = (begin + p) % blocks.recent;
    return bf16_to_float(
        static_cast<uint16_t>(get_code(blocks.rings + ring.value_lane(slot, d), ring.per_lane, slot)));
  };
  std::vector<float> column(kKvGroup), row(static_cast<size_t>(head_dim));
  for (int64_t d = 0; d < base::round_up(head_dim, l.codes.per_lane); ++d) {
    std::vector<uint32_t> codes(kKvGroup, 0);
    if (d < head_dim) {
      for (int64_t p = 0; p < kKvGroup; ++p) column[static_cast<size_t>(p)] = key(p, d);
      codes = quantize(column, block + l.key_pairs(at) + d * 4);
    }
    for (int64_t p = 0; p < kKvGroup; ++p)
      put_code(block + l.codes.key_lane(at + p, d), l.codes.per_lane, d, codes[static_cast<size_t>(p)]);
  }
  for (int64_t p = 0; p < kKvGroup; ++p) {
    for (int64_t d = 0; d < head_dim; ++d) row[static_cast<size_t>(d)] = value(p, d);
    const std::vector<uint32_t> codes = quantize(row, block + l.value_scales + (at + p) * 4);
    for (int64_t d = 0; d < head_dim; ++d)
      put_code(block + l.codes.value_lane(at + p, d), l.codes.per_lane, at + p,
               codes[static_cast<size_t>(d)]);
  }
}

// A position's key and value of one head.
void store_position(const KvBlocks& blocks, const AttentionShape& shape, int64_t position, const float* k,
                    const float* v) {
  const std::span<const float> key(k, static_cast<size_t>(shape.head_dim)),
      value(v, static_cast<size_t>(shape.head_dim));
  const KvLayout& l = blocks.layout;
  if (l.format == KvFormat::int4) {
    const int64_t slot = position % blocks.recent;
    store_key(blocks.rings, blocks.ring, KvFormat::bf16, -1, {key, slot});
    store_value(blocks.rings, blocks.ring, KvFormat::bf16, -1, {value, slot});
    if ((position + 1) % kKvGroup == 0) quantize_group(blocks, shape.head_dim, position + 1 - kKvGroup);
    return;
  }
  const bool scaled = l.format == KvFormat::int8 || l.format == KvFormat::fp8_e4m3;
  const auto [block, at] = blocks.at(position);
  store_key(block, l.codes, l.format, scaled ? l.key_scales : -1, {key, at, shape.key_scale});
  store_value(block, l.codes, l.format, scaled ? l.value_scales : -1, {value, at, shape.value_scale});
}

}  // namespace

void store_kv(const Spans& spans, const AttentionShape& shape, const float* k, const float* v, int64_t stride,
              base::ThreadPool&) {
  for (const AttentionSpan& span : spans.list)
    for (int64_t i = 0; i < shape.kv_heads; ++i) {
      const KvBlocks blocks = kv_blocks(span.cache, shape, i);
      for (int64_t row = 0; row < span.rows; ++row) {
        const int64_t from = (span.first_row + row) * stride + i * shape.head_dim;
        store_position(blocks, shape, span.position + row, k + from, v + from);
      }
    }
}

}  // namespace aquatint::kernels::ref
