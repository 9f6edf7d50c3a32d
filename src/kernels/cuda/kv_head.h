// The layout of a cache (kv_layout.h) as kernels compute it, from what a span says.
#pragma once
#include "kernels/cuda/simt.h"
#include "kernels/kv_layout.h"

namespace aquatint::kernels::cuda {

__host__ __device__ inline int64_t rounded_up(int64_t a, int64_t b) { return (a + b - 1) / b * b; }

__host__ __device__ inline int kv_codes_per_lane(KvFormat format) {
  if (format == KvFormat::fp32) return 1;
  if (format == KvFormat::bf16) return 2;
  return format == KvFormat::int4 ? 8 : 4;
}

__host__ __device__ constexpr bool has_scales(KvFormat format) {
  return format == KvFormat::int8 || format == KvFormat::fp8_e4m3;
}

// kv_layout(). Parts follow each other at whole lines.
struct LayoutWriter {
  int64_t end = 0;

  __host__ __device__ int64_t add(int64_t bytes) {
    const int64_t begin = end;
    end += rounded_up(bytes, kKvLine);
    return begin;
  }
  __host__ __device__ KvPlane add_plane(int64_t per_lane, int64_t head_dim, int64_t capacity) {
    KvPlane plane;
    plane.per_lane = per_lane;
    plane.key_lines = (head_dim + per_lane - 1) / per_lane;
    plane.value_lines = (head_dim + 15) / 16;
    plane.keys = add((capacity + kKvStrip - 1) / kKvStrip * plane.key_lines * kKvLine);
    plane.values = add((capacity + per_lane - 1) / per_lane * plane.value_lines * kKvLine);
    return plane;
  }
};

__host__ __device__ inline KvLayout head_layout(KvFormat format, int64_t head_dim, int64_t capacity,
                                                int64_t recent) {
  LayoutWriter parts;
  KvLayout layout;
  layout.format = format;
  if (format == KvFormat::int4) {
    capacity = rounded_up(capacity, kKvGroup);
    layout.recent = parts.add_plane(2, head_dim, recent);
    layout.key_pair_lines = (head_dim + 15) / 16;
    layout.key_scales = parts.add(capacity / kKvGroup * layout.key_pair_lines * kKvLine);
  } else if (has_scales(format)) {
    layout.key_scales = parts.add(capacity * 4);
  }
  const int per_lane = kv_codes_per_lane(format);
  if (per_lane >= 4) layout.value_scales = parts.add(capacity * 4);
  layout.codes = parts.add_plane(per_lane, head_dim, capacity);
  layout.head_bytes = parts.end;
  return layout;
}

__host__ __device__ inline int64_t key_strip(const KvPlane& plane, int64_t position) {
  return plane.keys + position / kKvStrip * plane.key_lines * kKvLine;
}
__host__ __device__ inline int64_t value_group(const KvPlane& plane, int64_t position) {
  return plane.values + position / plane.per_lane * plane.value_lines * kKvLine;
}
__host__ __device__ inline int64_t key_lane(const KvPlane& plane, int64_t position, int64_t dimension) {
  return key_strip(plane, position) + dimension / plane.per_lane * kKvLine + position % kKvStrip * 4;
}
__host__ __device__ inline int64_t value_lane(const KvPlane& plane, int64_t position, int64_t dimension) {
  return value_group(plane, position) + dimension / 16 * kKvLine + dimension % 16 * 4;
}
__host__ __device__ inline int64_t key_pairs(const KvLayout& layout, int64_t position) {
  return layout.key_scales + position / kKvGroup * layout.key_pair_lines * kKvLine;
}

__host__ __device__ inline int64_t exact_from(int64_t position) {
  return position < kKvExact ? 0 : (position + 1 - kKvExact) / kKvGroup * kKvGroup;
}
__host__ __device__ inline int64_t first_visible(int64_t window, int64_t position) {
  return window > 0 && position >= window ? position - window + 1 : 0;
}

// One head of one layer of a span's cache, as kv_blocks() has it.
struct KvHead {
  struct Place {
    std::byte* block;
    int64_t position;
  };

  KvLayout layout;
  std::byte *whole, *rings;
  KvPlane ring;
  int64_t recent;
  std::byte* const* pages;
  int64_t offset;

  __device__ Place at(int64_t position) const {
    if (pages == nullptr) return {whole, position};
    return {pages[position / kKvPage] + offset, position % kKvPage};
  }
};

__device__ inline KvHead head_of(const AttentionSpan& span, const AttentionShape& shape, int64_t kv_head) {
  const KvView& cache = span.cache;
  const int64_t index = shape.layer * shape.kv_heads + kv_head;
  const bool paged = cache.pages != nullptr;
  KvHead head;
  head.layout =
      head_layout(cache.format, shape.head_dim, paged ? kKvPage : cache.capacity, paged ? 0 : cache.recent);
  const KvLayout rings = paged ? head_layout(cache.format, shape.head_dim, 0, cache.recent) : head.layout;
  head.ring = rings.recent;
  head.rings = head.whole = cache.data + index * rings.head_bytes;
  head.recent = cache.recent;
  head.pages = cache.pages;
  head.offset = index * head.layout.head_bytes;
  return head;
}

}  // namespace aquatint::kernels::cuda
