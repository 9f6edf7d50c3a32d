#include "kernels/kv_layout.h"

#include <limits>
#include <utility>

#include "base/bytes.h"

namespace aquatint::kernels {
namespace {

constexpr std::pair<std::string_view, KvFormat> kNames[] = {{"fp32", KvFormat::fp32},
                                                            {"bf16", KvFormat::bf16},
                                                            {"fp8_e4m3", KvFormat::fp8_e4m3},
                                                            {"int8", KvFormat::int8},
                                                            {"int4", KvFormat::int4}};

int64_t codes_per_lane(KvFormat format) {
  if (format == KvFormat::fp32) return 1;
  if (format == KvFormat::bf16) return 2;
  return format == KvFormat::int4 ? 8 : 4;
}

// Lays parts one behind the other, each at the begin of a line.
class Parts {
 public:
  int64_t add(int64_t bytes) { return std::exchange(end_, end_ + base::round_up(bytes, kKvLine)); }
  int64_t end() const { return end_; }

 private:
  int64_t end_ = 0;
};

KvPlane lay_plane(Parts& parts, int64_t per_lane, int64_t head_dim, int64_t capacity) {
  KvPlane plane{.per_lane = per_lane,
                .key_lines = base::ceil_div(head_dim, per_lane),
                .value_lines = base::ceil_div(head_dim, int64_t{16})};
  plane.keys = parts.add(base::ceil_div(capacity, kKvStrip) * plane.key_lines * kKvLine);
  plane.values = parts.add(base::ceil_div(capacity, per_lane) * plane.value_lines * kKvLine);
  return plane;
}

}  // namespace

KvLayout kv_layout(KvFormat format, int64_t head_dim, int64_t capacity, int64_t recent) {
  Parts parts;
  KvLayout layout;
  layout.format = format;
  if (format == KvFormat::int4) {
    capacity = base::round_up(capacity, kKvGroup);
    layout.recent = lay_plane(parts, codes_per_lane(KvFormat::bf16), head_dim, recent);
    layout.key_pair_lines = base::ceil_div(head_dim, int64_t{16});
    layout.key_scales = parts.add(capacity / kKvGroup * layout.key_pair_lines * kKvLine);
  } else if (format == KvFormat::int8 || format == KvFormat::fp8_e4m3) {
    layout.key_scales = parts.add(capacity * 4);
  }
  if (codes_per_lane(format) >= 4) layout.value_scales = parts.add(capacity * 4);
  layout.codes = lay_plane(parts, codes_per_lane(format), head_dim, capacity);
  layout.head_bytes = parts.end();
  return layout;
}

KvBlocks kv_blocks(const KvView& cache, const AttentionShape& shape, int64_t kv_head) {
  const int64_t index = shape.layer * shape.kv_heads + kv_head;
  const auto layout = [&](int64_t capacity, int64_t recent) {
    return kv_layout(cache.format, shape.head_dim, capacity, recent);
  };
  KvBlocks blocks{.layout = cache.pages ? layout(kKvPage, 0) : layout(cache.capacity, cache.recent),
                  .whole = nullptr,
                  .rings = nullptr,
                  .ring = {},
                  .recent = cache.recent,
                  .pages = cache.pages,
                  .offset = 0};
  blocks.offset = index * blocks.layout.head_bytes;
  const KvLayout rings = cache.pages ? layout(0, cache.recent) : blocks.layout;
  blocks.ring = rings.recent;
  blocks.rings = cache.data + index * rings.head_bytes;
  if (!cache.pages) blocks.whole = blocks.rings;
  return blocks;
}

float kv_scale(KvFormat format, float largest) {
  const float scale = largest / (format == KvFormat::int8 ? numeric::int8.max : numeric::fp8_e4m3.max);
  return scale == 0 ? std::numeric_limits<float>::epsilon() : scale;
}

int64_t kv_recent(KvFormat format, int64_t rewind) {
  return format == KvFormat::int4 ? base::round_up(kKvExact + kKvRows + rewind, kKvGroup) + kKvGroup : 0;
}

std::string_view name(KvFormat format) {
  for (const auto& [name, value] : kNames)
    if (value == format) return name;
  return {};
}

std::optional<KvFormat> find_kv_format(std::string_view name) {
  for (const auto& [known, value] : kNames)
    if (known == name) return value;
  return std::nullopt;
}

}  // namespace aquatint::kernels
