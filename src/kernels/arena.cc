#include "kernels/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <mutex>

#include "base/bytes.h"
#include "base/error.h"

namespace aquatint::kernels {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kChunk = size_t{32} << 20;

std::shared_ptr<std::byte> map_chunk(size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  // Under AddressSanitizer every piece has its own guarded allocation.
  auto* start = static_cast<std::byte*>(std::aligned_alloc(64, bytes));
  std::fill_n(start, bytes, std::byte{0});
  return {start, [](std::byte* p) { std::free(p); }};
#else
  const size_t mapped = bytes + 2 * kHugePage;
  void* start = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED)
    throw base::OutOfResource(
        fmt::format("cannot map {} bytes for packed weights; free memory or use fewer bits", bytes));
  const auto address = reinterpret_cast<uintptr_t>(start);
  auto* aligned = reinterpret_cast<std::byte*>((address + kHugePage - 1) / kHugePage * kHugePage);
  madvise(aligned, (bytes + kHugePage - 1) / kHugePage * kHugePage,
          MADV_HUGEPAGE);  // advice only: 4 KiB pages work too
  return {aligned, [start, mapped](std::byte*) { munmap(start, mapped); }};
#endif
}

struct Open {
  std::mutex mutex;
  std::weak_ptr<std::byte> chunk;
  size_t used = kChunk;
};

}  // namespace

std::shared_ptr<std::byte> arena_allocate(size_t bytes) {
  bytes = std::max<size_t>(64, (bytes + 63) / 64 * 64);
#if !defined(__SANITIZE_ADDRESS__)
  if (bytes <= kChunk / 2) {
    static Open open;
    const std::lock_guard lock(open.mutex);
    std::shared_ptr<std::byte> chunk = open.chunk.lock();
    if (!chunk || open.used + bytes > kChunk) {
      chunk = map_chunk(kChunk);
      open.chunk = chunk;
      open.used = 0;
    }
    std::byte* at = chunk.get() + open.used;
    open.used += bytes;
    return {chunk, at};
  }
#endif
  return map_chunk(bytes);
}

}  // namespace aquatint::kernels
