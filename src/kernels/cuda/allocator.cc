#include "kernels/cuda/allocator.h"

#include <algorithm>

#include "base/error.h"

namespace aquatint::kernels::cuda {
namespace {

constexpr uint64_t kSmall = uint64_t{1} << 20, kSmallUnit = 512, kLargeUnit = uint64_t{2} << 20;

// A kept block this much larger than the request is not taken for it.
constexpr uint64_t most_for(uint64_t bytes) { return bytes + bytes / 4; }

}  // namespace

uint64_t Allocator::rounded(uint64_t bytes) {
  const uint64_t unit = bytes <= kSmall ? kSmallUnit : kLargeUnit;
  return std::max<uint64_t>(1, (bytes + unit - 1) / unit) * unit;
}

void* Allocator::take(uint64_t bytes) {
  const auto kept = kept_.lower_bound(bytes);
  if (kept != kept_.end() && kept->first <= most_for(bytes)) {
    void* block = kept->second;
    handed_[block] = kept->first;
    in_use_ += kept->first;
    kept_bytes_ -= kept->first;
    kept_.erase(kept);
    return block;
  }
  if (bytes > left()) return nullptr;
  if (bytes > left() - kept_bytes_) give_back_kept();
  void* block = source_.take(bytes);
  if (!block && kept_bytes_ > 0) {
    give_back_kept();
    block = source_.take(bytes);
  }
  if (!block) return nullptr;
  handed_[block] = bytes;
  in_use_ += bytes;
  return block;
}

void* Allocator::allocate(uint64_t bytes, std::string_view what, std::string_view advice) {
  void* block = bytes <= budget_ ? take(rounded(bytes)) : nullptr;
  if (!block)
    throw base::OutOfResource(fmt::format("no memory on the GPU for {} ({} MB): {} of {} MB are left{}", what,
                                          bytes / 1'000'000 + (bytes % 1'000'000 != 0), left() / 1'000'000,
                                          budget_ / 1'000'000, advice));
  peak_ = std::max(peak_, in_use_);
  return block;
}

void Allocator::release(void* block) {
  const auto found = handed_.find(block);
  AQ_CHECK(found != handed_.end(), "a block that was not handed out");
  in_use_ -= found->second;
  kept_bytes_ += found->second;
  kept_.emplace(found->second, block);
  handed_.erase(found);
}

void Allocator::reset_peak() {
  give_back_kept();
  peak_ = in_use_;
}

void Allocator::give_back_kept() {
  for (const auto& [size, block] : kept_) source_.give_back(block);
  kept_.clear();
  kept_bytes_ = 0;
}

}  // namespace aquatint::kernels::cuda
