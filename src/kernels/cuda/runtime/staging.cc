#include "kernels/cuda/runtime/staging.h"

#include <algorithm>
#include <cstring>

#include "kernels/cuda/device.h"

namespace aquatint::kernels::cuda {
namespace {

constexpr size_t kAlignment = 256;

}  // namespace

Staging::Staging(cudaStream_t stream) : stream_(stream) {
  const auto make = [](Buffer& b) {
    check(cudaMallocHost(&b.data, kBytes), "pinned memory");
    check(cudaEventCreateWithFlags(&b.done, cudaEventDisableTiming), "an event");
  };
  for (Buffer& b : writing_) make(b);
  for (Buffer& b : reading_) make(b);
}

// The next buffer, when what was copied from it has arrived.
Staging::Buffer& Staging::next_to_write() {
  check(cudaEventRecord(writing_[at_].done, stream_), "an event");
  at_ = (at_ + 1) % writing_.size();
  check(cudaEventSynchronize(writing_[at_].done), "a copy to the GPU");
  writing_[at_].used = 0;
  return writing_[at_];
}

// Small copies share a buffer.
void Staging::write(void* to, const void* from, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    const size_t left = bytes - done;
    const bool fits = writing_[at_].used + std::min(left, kBytes) <= kBytes;
    Buffer& b = fits ? writing_[at_] : next_to_write();
    const size_t count = std::min(left, kBytes - b.used);
    std::memcpy(b.data + b.used, static_cast<const std::byte*>(from) + done, count);
    check(cudaMemcpyAsync(static_cast<std::byte*>(to) + done, b.data + b.used, count, cudaMemcpyHostToDevice,
                          stream_),
          "a copy to the GPU");
    b.used = std::min(kBytes, (b.used + count + kAlignment - 1) / kAlignment * kAlignment);
    done += count;
  }
}

// One buffer is emptied while the other fills.
void Staging::read(void* to, const void* from, size_t bytes) {
  size_t asked = 0, before = 0;  // before: where the part that is on its way begins
  for (size_t i = 0;; ++i) {
    const size_t count = std::min(bytes - asked, kBytes);
    if (count > 0) {
      Buffer& b = reading_[i % 2];
      check(cudaMemcpyAsync(b.data, static_cast<const std::byte*>(from) + asked, count,
                            cudaMemcpyDeviceToHost, stream_),
            "a copy from the GPU");
      check(cudaEventRecord(b.done, stream_), "an event");
    }
    if (i > 0) {
      Buffer& b = reading_[(i - 1) % 2];
      check(cudaEventSynchronize(b.done), "work on the GPU");
      std::memcpy(static_cast<std::byte*>(to) + before, b.data, asked - before);
    }
    if (count == 0) return;
    before = asked;
    asked += count;
  }
}

}  // namespace aquatint::kernels::cuda
