// The device's memory as a decoder asks for it.
#include "kernels/cuda/device.h"
#include "kernels/cuda/sets.h"

namespace aquatint::kernels::cuda {
namespace {

class DeviceMemory final : public Memory {
 public:
  bool is_host() const override { return false; }
  std::byte* allocate(uint64_t bytes, std::string_view what, std::string_view advice) const override {
    if (bytes == 0) return nullptr;
    void* data = cuda::allocate(bytes, what, advice);
    zero(data, bytes);
    return static_cast<std::byte*>(data);
  }
  void release(std::byte* memory) const override {
    if (memory) cuda::release(memory);
  }
  void write(void* to, const void* from, uint64_t bytes) const override { copy_to_device(to, from, bytes); }
  void read(void* to, const void* from, uint64_t bytes) const override { copy_to_host(to, from, bytes); }
  void copy_runs(std::byte* to, uint64_t to_step, const std::byte* from, uint64_t from_step, uint64_t bytes,
                 uint64_t count) const override {
    cuda::copy_runs(to, to_step, from, from_step, bytes, count);
  }
  uint64_t left() const override {
    const MemoryUse use = memory_use();
    return use.budget - use.in_use;
  }
  uint64_t peak() const override { return memory_use().driver_peak; }
  void reset_peak() const override { cuda::reset_peak(); }
};

}  // namespace

const Memory& memory() {
  static const DeviceMemory memory;
  return memory;
}

}  // namespace aquatint::kernels::cuda
