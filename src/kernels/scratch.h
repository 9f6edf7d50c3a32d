// Working memory that a thread keeps between calls.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace aquatint::kernels {

class Scratch {
 public:
  // At least `count` elements aligned to 64 bytes; contents are whatever was there.
  template <class T>
  T* get(int64_t count) {
    const size_t bytes = (static_cast<size_t>(count) * sizeof(T) + 63) / 64 * 64;
    if (bytes > size_) {
      memory_.reset(std::aligned_alloc(64, bytes));
      if (!memory_) throw std::bad_alloc();
      size_ = bytes;
    }
    return static_cast<T*>(memory_.get());
  }

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  std::unique_ptr<void, Free> memory_;
  size_t size_ = 0;
};

}  // namespace aquatint::kernels
