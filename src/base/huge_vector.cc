#include "base/huge_vector.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <new>

namespace aquatint::base {

void* allocate_huge(size_t bytes) {
  constexpr size_t kPage = size_t{2} << 20, kLine = 64;
  const bool large = bytes >= 4 * kPage;
  const size_t unit = large ? kPage : kLine;
  if (bytes > SIZE_MAX - unit) throw std::bad_alloc();
  const size_t whole = (bytes + unit - 1) / unit * unit;
  void* at = std::aligned_alloc(unit, whole);
  if (!at) throw std::bad_alloc();
  if (large) ::madvise(at, whole, MADV_HUGEPAGE);  // advice only
  return at;
}

void free_huge(void* at) { std::free(at); }

}  // namespace aquatint::base
