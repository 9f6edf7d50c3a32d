#include "model/kv_cache.h"

#include "base/bytes.h"
#include "base/error.h"
#include "kernels/kv_layout.h"

namespace aquatint::model {
namespace {

kernels::Array<std::byte> allocate(const Config& config, int64_t capacity, kernels::KvFormat format,
                                   const kernels::Memory& memory, int64_t rewind) {
  AQ_CHECK(capacity > 0 && rewind >= 0, "capacity {}, rewind {}", capacity, rewind);
  return {memory, KvCache::bytes(config, capacity, format, rewind),
          fmt::format("the keys and values of {} tokens", capacity),
          "; use a shorter context, a smaller batch or a --kv-format of fewer bits"};
}

}  // namespace

// No key or value is ever read before it is written, but a kernel may load a whole vector past the last one:
// zeros there are harmless.
KvCache::KvCache(const Config& config, int64_t capacity, kernels::KvFormat format,
                 const kernels::Memory& memory, int64_t rewind)
    : memory_(&memory),
      format_(format),
      capacity_(capacity),
      rewind_(rewind),
      recent_(kernels::kv_recent(format, rewind)),
      data_(allocate(config, capacity, format, memory, rewind)) {}

void KvCache::truncate(int64_t length) {
  AQ_CHECK(0 <= length && length <= length_, "{} of {} tokens", length, length_);
  AQ_CHECK(recent_ == 0 || length == 0 || length_ - length <= rewind_,
           "from {} back to {}, more than {} tokens", length_, length, rewind_);
  length_ = length;
}

KvCache KvCache::fork(const Config& config, int64_t capacity) const {
  AQ_CHECK(can_fork(format_) && capacity >= length_, "{} tokens into {}", length_, capacity);
  KvCache copy(config, capacity, format_, *memory_);
  copy.length_ = length_;
  const auto from = kernels::kv_layout(format_, config.head_dim, capacity_, recent_);
  const auto to = kernels::kv_layout(format_, config.head_dim, capacity, copy.recent_);
  // Whole strips and groups: what lies in them behind the last token is overwritten before it is read.
  const int64_t strips = base::ceil_div(length_, kernels::kKvStrip),
                groups = base::ceil_div(length_, from.codes.per_lane);
  const auto scales =
      format_ == kernels::KvFormat::int8 || format_ == kernels::KvFormat::fp8_e4m3 ? length_ * 4 : 0;
  const auto copy_part = [&](int64_t target, int64_t source, int64_t bytes) {
    memory_->copy_runs(copy.data_.data() + target, static_cast<uint64_t>(to.head_bytes),
                       data_.data() + source, static_cast<uint64_t>(from.head_bytes),
                       static_cast<uint64_t>(bytes), static_cast<uint64_t>(config.layers * config.kv_heads));
  };
  copy_part(to.codes.keys, from.codes.keys, strips * from.codes.key_lines * kernels::kKvLine);
  copy_part(to.codes.values, from.codes.values, groups * from.codes.value_lines * kernels::kKvLine);
  copy_part(to.key_scales, from.key_scales, scales);
  copy_part(to.value_scales, from.value_scales, scales);
  return copy;
}

kernels::KvView KvCache::view() const {
  return {.data = data_.data(), .format = format_, .capacity = capacity_, .recent = recent_};
}

uint64_t KvCache::bytes(const Config& config, int64_t capacity, kernels::KvFormat format, int64_t rewind) {
  // No format takes more than 16 bytes for a key and a value together.
  const auto width = static_cast<uint64_t>(config.layers) * static_cast<uint64_t>(config.kv_width() + 64);
  const auto most = base::checked_mul(16 * width, static_cast<uint64_t>(capacity + rewind + 4096));
  if (!most || *most >= uint64_t{INT64_MAX}) return UINT64_MAX;
  const kernels::KvLayout layout =
      kernels::kv_layout(format, config.head_dim, capacity, kernels::kv_recent(format, rewind));
  return static_cast<uint64_t>(config.layers * config.kv_heads * layout.head_bytes);
}

}  // namespace aquatint::model
