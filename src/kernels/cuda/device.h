// The GPU as host code sees it: memory, one stream, what the card is. Nothing here needs CUDA's headers;
// device.cc speaks to the runtime, and tests without a GPU put the host's memory in its place. The device is
// opened by the first call; open() says in one line why it cannot be.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

struct CUstream_st;

namespace aquatint::kernels::cuda {

using Stream = CUstream_st*;

struct Extent {
  uint32_t x = 1, y = 1, z = 1;
};

// BadUsage when there is no driver, no device, or none of the architecture that the kernels are made for.
void open();
std::string device_name();

// Memory of the device, aligned to 256 bytes; contents are whatever was there. OutOfResource, saying what was
// asked for and what is left, then `advice`, when it is not there.
void* allocate(size_t bytes, std::string_view what, std::string_view advice = "");
void release(void* memory);

struct MemoryUse {
  uint64_t budget = 0;  // what was free when the device was opened, less a reserve
  uint64_t in_use = 0, peak = 0;
  uint64_t driver_peak = 0;  // the most that the driver called used, other programs' included
};
MemoryUse memory_use();
void reset_peak();  // both begin again with what is in use

class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  explicit DeviceBuffer(size_t bytes, std::string_view what = "working memory of a kernel")
      : data_(bytes > 0 ? allocate(bytes, what) : nullptr), bytes_(bytes) {}
  DeviceBuffer(DeviceBuffer&& other) noexcept { swap(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~DeviceBuffer() {
    if (data_) release(data_);
  }

  template <class T = std::byte>
  T* data() const {
    return static_cast<T*>(data_);
  }
  size_t size() const { return bytes_; }

 private:
  void swap(DeviceBuffer& other) noexcept {
    void* data = data_;
    data_ = other.data_;
    other.data_ = data;
    const size_t bytes = bytes_;
    bytes_ = other.bytes_;
    other.bytes_ = bytes;
  }
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// All operations are put into this stream and run in order.
Stream stream();
// In the stream's order; `from` may be changed once these return.
void copy_to_device(void* to, const void* from, size_t bytes);
void copy_to_host(void* to, const void* from, size_t bytes);  // waits for what is in the stream
// `count` runs of `bytes` within the device, their starts a step apart.
void copy_runs(void* to, size_t to_step, const void* from, size_t from_step, size_t bytes, size_t count);
void zero(void* at, size_t bytes);
void synchronize();

// Working memory of operations, kept between calls: at least `bytes`, aligned to 256. What is asked for under
// another purpose does not overlap it. A caller's kernels have read it before the next caller's overwrite it,
// since all are in one stream.
enum class Purpose { linear_input, linear_partial, weights, attention, spans, gemm, other };
void* workspace(Purpose purpose, size_t bytes);

int multiprocessors();

// cudaError_t as a number; 0 is success. OutOfResource for memory, else Error of the machine: `what` failed.
void check(int error, const char* what);

}  // namespace aquatint::kernels::cuda
