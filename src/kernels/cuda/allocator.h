// Device memory handed out under a fixed budget. Blocks that are given back are kept for the next request of
// about their size: the driver's own calls stop the device for as long as a small kernel takes.
//
// A block may be given out again while kernels that use it still run: they all are in one stream.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string_view>
#include <unordered_map>

namespace aquatint::kernels::cuda {

class Allocator {
 public:
  // How the driver is asked; null when it has no memory.
  struct Source {
    std::function<void*(uint64_t bytes)> take;
    std::function<void(void*)> give_back;
  };
  Allocator(Source source, uint64_t budget) : source_(std::move(source)), budget_(budget) {}
  ~Allocator() { give_back_kept(); }  // what is in use is left to the driver
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  // Aligned to 512 bytes. OutOfResource: what was asked for, how much, what is left, then `advice`.
  void* allocate(uint64_t bytes, std::string_view what, std::string_view advice);
  void release(void* block);

  uint64_t budget() const { return budget_; }
  uint64_t in_use() const { return in_use_; }
  uint64_t peak() const { return peak_; }  // of in_use()
  void reset_peak();  // gives kept blocks back, so that the driver's numbers are of what is in use
  uint64_t left() const { return budget_ - in_use_; }

  // Bytes that a request takes: whole units, so that requests of about one size share blocks.
  static uint64_t rounded(uint64_t bytes);

 private:
  void* take(uint64_t bytes);
  void give_back_kept();

  Source source_;
  uint64_t budget_, in_use_ = 0, peak_ = 0, kept_bytes_ = 0;
  std::multimap<uint64_t, void*> kept_;         // by size
  std::unordered_map<void*, uint64_t> handed_;  // their sizes
};

}  // namespace aquatint::kernels::cuda
