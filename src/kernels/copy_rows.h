// Rows of a matrix within a set's memory, as Memory::copy_runs() copies bytes.
#pragma once
#include "kernels/memory.h"

namespace aquatint::kernels {

// to[rows][cols] = from[rows][cols], rows of each a stride apart.
template <class T>
void copy_rows(const Memory& memory, T* to, int64_t to_stride, const T* from, int64_t from_stride,
               int64_t cols, int64_t rows) {
  const auto bytes = [](int64_t count) { return static_cast<uint64_t>(count) * sizeof(T); };
  memory.copy_runs(reinterpret_cast<std::byte*>(to), bytes(to_stride),
                   reinterpret_cast<const std::byte*>(from), bytes(from_stride), bytes(cols),
                   static_cast<uint64_t>(rows));
}

// to[count] = from[count].
template <class T>
void copy_numbers(const Memory& memory, T* to, const T* from, size_t count) {
  const auto n = static_cast<int64_t>(count);
  copy_rows(memory, to, n, from, n, n, 1);
}

}  // namespace aquatint::kernels
