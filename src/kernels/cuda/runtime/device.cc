// device.h over the CUDA runtime, which is linked statically and looks for the driver when it is first
// called.
#include "kernels/cuda/device.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/error.h"
#include "kernels/cuda/allocator.h"
#include "kernels/cuda/repeat.h"
#include "kernels/cuda/runtime/staging.h"

namespace aquatint::kernels::cuda {
namespace {

constexpr int kMajor = 9, kMinor = 0;  // sm_90a, as cmake/cuda.cmake asks of nvcc
// Left to the driver: kernels' code and stacks, and cuBLASLt's own.
constexpr uint64_t kReserve = uint64_t{1} << 30;

std::string words(cudaError_t error) {
  return fmt::format("{}: {}", cudaGetErrorName(error), cudaGetErrorString(error));
}

cudaDeviceProp properties(int device) {
  cudaDeviceProp p{};
  check(cudaGetDeviceProperties(&p, device), "reading what the GPU is");
  return p;
}

// As noted.
struct Runs {
  void* to;
  const void* from;
  size_t to_step, from_step, bytes, count;
};

// The first one that can run the kernels.
int choose_device() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaErrorInsufficientDriver)
    throw base::BadUsage(
        "--device cuda: no NVIDIA driver, or one that is older than CUDA 13 (580); use --device cpu");
  if (error != cudaSuccess || count == 0)
    throw base::BadUsage(fmt::format("--device cuda: no GPU{}; use --device cpu",
                                     error == cudaSuccess ? "" : fmt::format(" ({})", words(error))));
  std::string found;
  for (int i = 0; i < count; ++i) {
    const cudaDeviceProp p = properties(i);
    if (p.major == kMajor && p.minor == kMinor) return i;
    found += fmt::format("{}{} (sm_{}{})", i > 0 ? ", " : "", p.name, p.major, p.minor);
  }
  throw base::BadUsage(fmt::format(
      "--device cuda: found {}, the kernels are for sm_90 (H100, H200) alone; use --device cpu", found));
}

// What is open for as long as the program runs: the driver takes it back when the program ends.
class Device {
 public:
  Device() {
    const int device = choose_device();
    check(cudaSetDevice(device), "choosing the GPU");
    properties_ = properties(device);
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
    staging_.emplace(stream_);
    const uint64_t free = sample();
    allocator_.emplace(Allocator::Source{[this](uint64_t bytes) { return take(bytes); },
                                         [](void* block) { check(cudaFree(block), "giving memory back"); }},
                       free > kReserve ? free - kReserve : 0);
  }

  cudaStream_t stream() const { return stream_; }
  const cudaDeviceProp& properties_of() const { return properties_; }
  Allocator& allocator() { return *allocator_; }
  Staging& staging() { return *staging_; }
  std::map<Purpose, DeviceBuffer>& workspaces() { return workspaces_; }
  uint64_t driver_peak() const { return driver_peak_; }
  void reset_peak() {
    driver_peak_ = 0;
    allocator_->reset_peak();
    sample();
  }

  // Free bytes.
  uint64_t sample() {
    size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "asking for free memory");
    driver_peak_ = std::max<uint64_t>(driver_peak_, total - free);
    return free;
  }

 private:
  void* take(uint64_t bytes) {
    void* block = nullptr;
    const cudaError_t error = cudaMalloc(&block, bytes);
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // or the next call would report it
      return nullptr;
    }
    check(error, "taking memory");
    sample();
    return block;
  }

  cudaDeviceProp properties_{};
  cudaStream_t stream_{};
  std::optional<Staging> staging_;
  std::optional<Allocator> allocator_;
  std::map<Purpose, DeviceBuffer> workspaces_;
  uint64_t driver_peak_ = 0;
};

// Never destroyed: buffers of other static objects may outlive it, and the runtime.
Device& device() {
  static Device& opened = *new Device;
  return opened;
}

}  // namespace

void open() { device(); }
std::string device_name() { return device().properties_of().name; }
int multiprocessors() { return device().properties_of().multiProcessorCount; }
Stream stream() { return device().stream(); }

void* allocate(size_t bytes, std::string_view what, std::string_view advice) {
  return device().allocator().allocate(bytes, what, advice);
}
void release(void* memory) { device().allocator().release(memory); }

MemoryUse memory_use() {
  device().sample();
  const Allocator& a = device().allocator();
  return {a.budget(), a.in_use(), a.peak(), device().driver_peak()};
}

void reset_peak() { device().reset_peak(); }

void copy_to_device(void* to, const void* from, size_t bytes) {
  if (notes) notes->add_done();
  device().staging().write(to, from, bytes);
}
void copy_to_host(void* to, const void* from, size_t bytes) {
  AQ_CHECK(!notes, "work that repeats reads the device's memory");
  device().staging().read(to, from, bytes);
}

void copy_runs(void* to, size_t to_step, const void* from, size_t from_step, size_t bytes, size_t count) {
  if (bytes == 0 || count == 0) return;
  if (notes) return notes->add(Runs{to, from, to_step, from_step, bytes, count});
  check(cudaMemcpy2DAsync(to, to_step, from, from_step, bytes, count, cudaMemcpyDeviceToDevice, stream()),
        "a copy on the GPU");
}

void zero(void* at, size_t bytes) {
  if (notes) return notes->add(Runs{at, nullptr, 0, 0, bytes, 1});
  check(cudaMemsetAsync(at, 0, bytes, stream()), "clearing memory");
}
void synchronize() { check(cudaStreamSynchronize(stream()), "work on the GPU"); }

void* workspace(Purpose purpose, size_t bytes) {
  DeviceBuffer& buffer = device().workspaces()[purpose];
  if (buffer.size() < bytes) {
    buffer = DeviceBuffer();
    buffer = DeviceBuffer(bytes);
  }
  return buffer.data();
}

void check(int error, const char* what) {
  const auto e = static_cast<cudaError_t>(error);
  if (e == cudaSuccess) return;
  if (e == cudaErrorMemoryAllocation)
    throw base::OutOfResource(fmt::format("the GPU's driver has no memory left for {}", what));
  throw std::runtime_error(fmt::format("{} failed on the GPU: {}", what, words(e)));
}

}  // namespace aquatint::kernels::cuda
