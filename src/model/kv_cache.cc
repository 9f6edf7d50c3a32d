#include "model/kv_cache.h"

#include <sys/mman.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"
#include "kernels/kv_layout.h"

namespace aquatint::model {
namespace {

std::byte* round_up(std::byte* p, int64_t alignment) {
  const auto address = static_cast<int64_t>(reinterpret_cast<uintptr_t>(p));
  return p + (base::round_up(address, alignment) - address);
}

// Attention reads a long cache from end to end for every token; small pages cost it about a tenth.
void ask_for_huge_pages(std::byte* begin, uint64_t bytes) {
  constexpr int64_t kHugePage = int64_t{2} << 20;
  std::byte* first = round_up(begin, kHugePage);
  const int64_t whole = (begin + bytes - first) / kHugePage * kHugePage;
  if (whole > 0) madvise(first, static_cast<size_t>(whole), MADV_HUGEPAGE);  // advice only
}

}  // namespace

KvCache::KvCache(const Config& config, int64_t capacity, kernels::KvFormat format, int64_t rewind)
    : format_(format),
      capacity_(capacity),
      rewind_(rewind),
      recent_(kernels::kv_recent(format, rewind)),
      layer_bytes_(bytes(config, capacity, format, rewind) / static_cast<uint64_t>(config.layers)) {
  AQ_CHECK(capacity > 0 && rewind >= 0, "capacity {}, rewind {}", capacity, rewind);
  // calloc gives untouched zero pages: no key or value is ever read before it is written, but a kernel may
  // load a whole vector past the last one, and zeros there are harmless.
  const uint64_t all = bytes(config, capacity, format, rewind);
  if (all < uint64_t{INT64_MAX})
    memory_.reset(static_cast<std::byte*>(std::calloc(all + kernels::kKvLine, 1)));
  if (!memory_)
    throw base::OutOfResource(
        fmt::format("no memory for the keys and values of {} tokens ({} bytes); use a shorter context, a "
                    "smaller batch or a --kv-format of fewer bits",
                    capacity, all));
  first_layer_ = round_up(memory_.get(), kernels::kKvLine);
  ask_for_huge_pages(first_layer_, all);
}

void KvCache::truncate(int64_t length) {
  AQ_CHECK(0 <= length && length <= length_, "{} of {} tokens", length, length_);
  AQ_CHECK(recent_ == 0 || length == 0 || length_ - length <= rewind_,
           "from {} back to {}, more than {} tokens", length_, length, rewind_);
  length_ = length;
}

KvCache KvCache::fork(const Config& config, int64_t capacity) const {
  AQ_CHECK(can_fork(format_) && capacity >= length_, "{} tokens into {}", length_, capacity);
  KvCache copy(config, capacity, format_);
  copy.length_ = length_;
  const auto from = kernels::kv_layout(format_, config.head_dim, capacity_, recent_);
  const auto to = kernels::kv_layout(format_, config.head_dim, capacity, copy.recent_);
  // Whole strips and groups: what lies in them behind the last token is overwritten before it is read.
  const int64_t strips = base::ceil_div(length_, kernels::kKvStrip),
                groups = base::ceil_div(length_, from.codes.per_lane);
  const auto scales =
      format_ == kernels::KvFormat::int8 || format_ == kernels::KvFormat::fp8_e4m3 ? length_ * 4 : 0;
  for (int64_t head = 0; head < config.layers * config.kv_heads; ++head) {
    const std::byte* source = first_layer_ + head * from.head_bytes;
    std::byte* target = copy.first_layer_ + head * to.head_bytes;
    std::copy_n(source + from.codes.keys, strips * from.codes.key_lines * kernels::kKvLine,
                target + to.codes.keys);
    std::copy_n(source + from.codes.values, groups * from.codes.value_lines * kernels::kKvLine,
                target + to.codes.values);
    std::copy_n(source + from.key_scales, scales, target + to.key_scales);
    std::copy_n(source + from.value_scales, scales, target + to.value_scales);
  }
  return copy;
}

kernels::KvLayer KvCache::layer(int64_t i) const {
  return {.data = first_layer_ + static_cast<uint64_t>(i) * layer_bytes_,
          .format = format_,
          .capacity = capacity_,
          .recent = recent_};
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
