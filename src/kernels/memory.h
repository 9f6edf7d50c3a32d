// Where a kernel set's operands lie: the host's memory, or a device's that only its kernels may touch.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace aquatint::kernels {

class Memory {
 public:
  virtual ~Memory() = default;
  virtual bool is_host() const = 0;
  // Zeros, aligned to 256 bytes; null for none. Pages of the host are taken as they are touched.
  // OutOfResource: "no memory for WHAT (N bytes…)", then `advice`.
  virtual std::byte* allocate(uint64_t bytes, std::string_view what, std::string_view advice = "") const = 0;
  virtual void release(std::byte* memory) const = 0;
  // In the order of the kernels' calls. `from` may be changed, `to` be read, once these return.
  virtual void write(void* to, const void* from, uint64_t bytes) const = 0;
  virtual void read(void* to, const void* from, uint64_t bytes) const = 0;
  // Inside this memory: `count` runs of `bytes`, their starts a step apart.
  virtual void copy_runs(std::byte* to, uint64_t to_step, const std::byte* from, uint64_t from_step,
                         uint64_t bytes, uint64_t count) const = 0;
  // Of a device; nobody can say it of the host.
  virtual uint64_t left() const { return UINT64_MAX; }
  virtual uint64_t peak() const { return 0; }  // the most that was in use, by the driver's own numbers
  virtual void reset_peak() const {}
};

const Memory& host_memory();

// Numbers in a set's memory.
template <class T>
class Array {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Array() = default;
  Array(const Memory& memory, size_t size, std::string_view what, std::string_view advice = "")
      : memory_(&memory), data_(memory.allocate(size * sizeof(T), what, advice)), size_(size) {}
  Array(const Memory& memory, std::span<const T> values, std::string_view what)
      : Array(memory, values.size(), what) {
    write(values);
  }
  Array(Array&& other) noexcept { swap(other); }
  Array& operator=(Array&& other) noexcept {
    Array(std::move(other)).swap(*this);
    return *this;
  }
  ~Array() {
    if (data_) memory_->release(data_);
  }

  T* data() const { return reinterpret_cast<T*>(data_); }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // At least `size`; what it held is lost when it grows.
  void reserve(const Memory& memory, size_t size, std::string_view what) {
    if (size_ >= size && memory_ == &memory) return;
    *this = Array();
    *this = Array(memory, size, what);
  }
  void write(std::span<const T> values, size_t first = 0) const {
    if (!values.empty()) memory_->write(data() + first, values.data(), values.size_bytes());
  }
  void read(std::span<T> values, size_t first = 0) const {
    if (!values.empty()) memory_->read(values.data(), data() + first, values.size_bytes());
  }

 private:
  void swap(Array& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  const Memory* memory_ = nullptr;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace aquatint::kernels
