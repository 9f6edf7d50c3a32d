#include "model/kv_cache.h"

#include "base/error.h"

namespace aquatint::model {
namespace {

constexpr uint64_t kAlignment = 64;

uint64_t element_bytes(kernels::Precision precision) { return precision == kernels::Precision::fp32 ? 4 : 2; }

}  // namespace

KvCache::KvCache(const Config& config, int64_t capacity, kernels::Precision precision) : capacity_(capacity) {
  AQ_CHECK(capacity > 0, "capacity {}", capacity);
  // Keys and values of a layer each start at a multiple of kAlignment.
  const uint64_t per_token = static_cast<uint64_t>(config.kv_width()) * element_bytes(precision);
  const auto half = base::checked_mul(per_token, static_cast<uint64_t>(capacity));
  const auto padded = half ? base::checked_add(*half, kAlignment) : half;
  const auto all = padded ? base::checked_mul(*padded, 2 * static_cast<uint64_t>(config.layers)) : padded;
  // calloc gives untouched zero pages: no key or value is ever read before it is written, but a kernel may
  // load a whole vector past the last one, and zeros there are harmless.
  if (all && *all < uint64_t{INT64_MAX})
    memory_.reset(static_cast<std::byte*>(std::calloc(*all + kAlignment, 1)));
  if (!memory_)
    throw base::OutOfResource(
        fmt::format("no memory for the keys and values of {} tokens ({} bytes each); use a "
                    "shorter context or a smaller batch",
                    capacity, bytes_per_token(config, precision)));
  const uint64_t address = reinterpret_cast<uintptr_t>(memory_.get());
  first_layer_ = memory_.get() + (kAlignment - address % kAlignment) % kAlignment;
  layer_bytes_ = (*padded - *padded % kAlignment) * 2;
}

void KvCache::truncate(int64_t length) {
  AQ_CHECK(0 <= length && length <= length_, "{} of {} tokens", length, length_);
  length_ = length;
}

kernels::KvLayer KvCache::layer(int64_t i) const {
  std::byte* keys = first_layer_ + static_cast<uint64_t>(i) * layer_bytes_;
  return {.keys = keys, .values = keys + layer_bytes_ / 2, .capacity = capacity_};
}

uint64_t KvCache::bytes_per_token(const Config& config, kernels::Precision precision) {
  return static_cast<uint64_t>(config.layers) * 2 * static_cast<uint64_t>(config.kv_width()) *
         element_bytes(precision);
}

}  // namespace aquatint::model
