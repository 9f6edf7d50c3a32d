#include "base/huge_vector.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <new>

namespace aquatint::base {
namespace {

constexpr size_t kPage = size_t{2} << 20;

bool is_large(size_t bytes) { return bytes >= 4 * kPage; }

size_t whole_pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

}  // namespace

// Large ones are mapped one by one, so that the system has them back at once.
void* allocate_huge(size_t bytes) {
  if (!is_large(bytes)) return ::operator new(bytes);
  if (bytes > SIZE_MAX - 2 * kPage) throw std::bad_alloc();
  const size_t wanted = whole_pages(bytes), mapped = wanted + kPage;
  void* start = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) throw std::bad_alloc();
  auto* first = static_cast<std::byte*>(start);
  const size_t before = (kPage - reinterpret_cast<uintptr_t>(first) % kPage) % kPage;
  if (before > 0) ::munmap(first, before);
  if (before < kPage) ::munmap(first + before + wanted, kPage - before);
  ::madvise(first + before, wanted, MADV_HUGEPAGE);  // advice only
  return first + before;
}

void free_huge(void* at, size_t bytes) {
  if (is_large(bytes))
    ::munmap(at, whole_pages(bytes));
  else
    ::operator delete(at);
}

}  // namespace aquatint::base
