#include "kernels/arena.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>

#include "base/bytes.h"
#include "base/error.h"
#include "base/huge_vector.h"

namespace aquatint::kernels {
namespace {

constexpr size_t kChunk = size_t{32} << 20;

std::shared_ptr<std::byte> map_chunk(size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  // Under AddressSanitizer every piece has its own guarded allocation.
  auto* start = static_cast<std::byte*>(std::aligned_alloc(64, bytes));
  std::fill_n(start, bytes, std::byte{0});
  return {start, [](std::byte* p) { std::free(p); }};
#else
  std::byte* start = base::map_huge(bytes);
  if (!start)
    throw base::OutOfResource(
        fmt::format("cannot map {} bytes for packed weights; free memory or use fewer bits", bytes));
  return {start, [bytes](std::byte* p) { base::unmap_huge(p, bytes); }};
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
