// Numbers of many tokens, between two passes over them: on the host, perhaps in a file, or where kernels on a
// device read them without a copy.
#pragma once
#include <filesystem>

#include "base/float_array.h"
#include "kernels/memory.h"

namespace aquatint::model {

// Where such arrays lie.
struct StatePlace {
  std::filesystem::path spill = {};  // a folder for what the host's memory shall not hold; empty: it does
  const kernels::Memory* device = nullptr;  // whose memory holds them instead; null: the host
};

class StateArray {
 public:
  StateArray() = default;
  // Zeros. OutOfResource when there is no room for them.
  StateArray(size_t count, const StatePlace& place);

  size_t size() const { return size_; }
  bool on_host() const { return !device_; }
  base::FloatArray& host() { return host_; }
  const base::FloatArray& host() const { return host_; }
  const float* on_device() const { return values_.data(); }

  // Another number of values, none of them defined.
  void reuse(size_t count, const StatePlace& place);
  // The values of another one, of the same size and place.
  void copy(const StateArray& from);

  // values [first, first + count) to `to` and from `from`, arrays of a kernel set's memory: this array's
  // device, or, where it is the host's, any.
  void take(size_t first, size_t count, const kernels::Array<float>& to, const kernels::Memory& memory) const;
  void put(size_t first, size_t count, const kernels::Array<float>& from, const kernels::Memory& memory);
  // The same of the host's memory.
  void read(size_t first, std::span<float> to) const;
  void write(size_t first, std::span<const float> from);

 private:
  size_t size_ = 0;
  base::FloatArray host_;
  const kernels::Memory* device_ = nullptr;
  kernels::Array<float> values_;
};

}  // namespace aquatint::model
