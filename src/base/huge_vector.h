// Memory in huge pages: a walk down the columns of a wide matrix touches a page for each row, and of small
// pages the processor knows a few hundred at a time.
#pragma once
#include <cstddef>
#include <vector>

namespace aquatint::base {

// Zeros from the start of a huge page on, in such pages if the system has them; null when it has no memory.
std::byte* map_huge(size_t bytes);
void unmap_huge(std::byte* at, size_t bytes);

// From the start of a cache line on, and mapped where they fill several huge pages, so that the system has
// them back at once. Throws bad_alloc.
void* allocate_huge(size_t bytes);
void free_huge(void* at, size_t bytes);

template <class T>
struct HugePages {
  using value_type = T;
  HugePages() = default;
  template <class U>
  HugePages(const HugePages<U>&) {}
  T* allocate(size_t count) { return static_cast<T*>(allocate_huge(count * sizeof(T))); }
  void deallocate(T* at, size_t count) { free_huge(at, count * sizeof(T)); }
  bool operator==(const HugePages&) const = default;
};

template <class T>
using HugeVector = std::vector<T, HugePages<T>>;

}  // namespace aquatint::base
