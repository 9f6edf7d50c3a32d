// An array of floats that may be larger than memory: in memory, or in a nameless file from where the system
// pages it in as it is used. Values are the same either way.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>

namespace aquatint::base {

class FloatArray {
 public:
  FloatArray() = default;
  // Zeros. `folder`: where the file lies; empty: in memory. OutOfResource when there is no room for it.
  explicit FloatArray(size_t count, const std::filesystem::path& folder = {});
  FloatArray(FloatArray&& other) noexcept;
  FloatArray& operator=(FloatArray&& other) noexcept;
  ~FloatArray();

  // Another number of values, none of them defined: new memory is taken, as it was at first, only for more
  // than there ever were.
  void reuse(size_t count, const std::filesystem::path& folder);

  size_t size() const { return size_; }
  bool in_memory() const { return in_memory_; }
  bool empty() const { return size_ == 0; }
  float* data() { return data_; }
  const float* data() const { return data_; }
  std::span<float> values() { return {data_, size_}; }
  std::span<const float> values() const { return {data_, size_}; }
  operator std::span<const float>() const { return values(); }

  // These values are not needed for now: those of a file no longer count as this process's memory.
  void release(size_t first, size_t count) const;

 private:
  float* data_ = nullptr;
  size_t size_ = 0, capacity_ = 0;
  bool in_memory_ = true;
};

}  // namespace aquatint::base
