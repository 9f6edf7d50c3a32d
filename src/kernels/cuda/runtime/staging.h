// Copies between the host and the device through pinned memory: the driver copies from and to it while the
// host goes on. Only for device.cc, beside CUDA's own headers.
#pragma once
#include <cuda_runtime.h>

#include <array>
#include <cstddef>

namespace aquatint::kernels::cuda {

class Staging {
 public:
  explicit Staging(cudaStream_t stream);

  // `from` may be changed once this returns.
  void write(void* to, const void* from, size_t bytes);
  // Waits for the stream.
  void read(void* to, const void* from, size_t bytes);

 private:
  static constexpr size_t kBytes = size_t{4} << 20;

  struct Buffer {
    std::byte* data = nullptr;
    size_t used = 0;
    cudaEvent_t done{};
  };
  Buffer& next_to_write();

  cudaStream_t stream_;
  std::array<Buffer, 4> writing_;
  std::array<Buffer, 2> reading_;
  size_t at_ = 0;  // of writing_
};

}  // namespace aquatint::kernels::cuda
