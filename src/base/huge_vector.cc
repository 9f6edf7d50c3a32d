#include "base/huge_vector.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace aquatint::base {
namespace {

constexpr size_t kPage = size_t{2} << 20;
constexpr std::align_val_t kLine{64};

bool is_large(size_t bytes) { return bytes >= 4 * kPage; }

size_t whole_pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

}  // namespace

std::byte* map_huge(size_t bytes) {
  if (bytes > SIZE_MAX - 2 * kPage) return nullptr;
  const size_t wanted = whole_pages(bytes), mapped = wanted + kPage;
  void* start = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) return nullptr;
  auto* first = static_cast<std::byte*>(start);
  const size_t before = (kPage - reinterpret_cast<uintptr_t>(first) % kPage) % kPage;
  if (before > 0) ::munmap(first, before);
  ::munmap(first + before + wanted, kPage - before);
  ::madvise(first + before, wanted, MADV_HUGEPAGE);  // advice only
  return first + before;
}

void unmap_huge(std::byte* at, size_t bytes) { ::munmap(at, whole_pages(bytes)); }

void* allocate_huge(size_t bytes) {
  if (!is_large(bytes)) return ::operator new(bytes, kLine);
  if (std::byte* at = map_huge(bytes)) return at;
  throw std::bad_alloc();
}

void free_huge(void* at, size_t bytes) {
  if (is_large(bytes))
    unmap_huge(static_cast<std::byte*>(at), bytes);
  else
    ::operator delete(at, kLine);
}

}  // namespace aquatint::base
