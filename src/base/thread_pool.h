// A small pool for parallel regions of microseconds to seconds. A region is cut into size() parts; the caller
// works too, and who is done takes parts whose own thread has not come yet: a thread that sleeps, or that
// another process keeps from its processor, holds nobody up. Threads spin briefly and then sleep, so an idle
// machine is not burnt.
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace aquatint::base {

// How long one thread spins before it sleeps in the kernel: a wake-up costs some 30 us, but a thread that
// spins may keep the processor from the one it waits for. Halved by every wait that outlasts the longest
// spin, a little longer after every other.
class Patience {
 public:
  template <class T>
  void wait_until_changed(std::atomic<T>& value, T old);

 private:
  void learn(std::chrono::nanoseconds waited);
  std::chrono::nanoseconds limit_ = kLongestSpin;
  static constexpr std::chrono::nanoseconds kLongestSpin = std::chrono::microseconds(50);  // a decode region
  static constexpr std::chrono::nanoseconds kGrowth = std::chrono::microseconds(1);
};

class ThreadPool {
 public:
  // A region has `threads` parts, at least 1. No more threads are started than this process may use
  // processors.
  explicit ThreadPool(int threads);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  int size() const { return size_; }

  // Calls body(worker) once for each worker 0 … size()-1 and waits. The first exception is rethrown here. One
  // thread may run several workers, one after the other: they must not wait for each other, nor call run() of
  // the same pool.
  template <class Body>
  void run(Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run_region(
        {[](const void* b, int worker) { (*static_cast<Plain*>(const_cast<void*>(b)))(worker); }, &body});
  }

  // body(begin, end) over a static partition of [0, count) in pieces that are multiples of `grain`.
  // The partition depends on size(): a body's results must not.
  template <class Body>
  void parallel_for(int64_t count, int64_t grain, Body&& body) {
    const int64_t pieces = (count + grain - 1) / grain;
    if (size_ == 1 || pieces <= 1) {
      if (count > 0) body(int64_t{0}, count);
      return;
    }
    run([&](int worker) {
      const int64_t begin = pieces * worker / size_ * grain;
      const int64_t end = std::min(count, pieces * (worker + 1) / size_ * grain);
      if (begin < end) body(begin, end);
    });
  }

 private:
  // A body without its type, so that a region allocates nothing.
  struct Region {
    void (*call)(const void* body, int worker) = nullptr;
    const void* body = nullptr;
  };
  // One part's state: 2 · generation while nobody has taken it, one more from then on.
  struct alignas(64) Ticket {
    std::atomic<uint32_t> state{1};
  };

  void run_region(Region region);
  void work(int worker);
  void take_parts(int first, uint32_t generation);

  int size_;
  Patience patience_;  // of the caller
  Region region_;
  std::unique_ptr<Ticket[]> tickets_;
  std::vector<std::thread> threads_;
  alignas(128) std::atomic<uint32_t> generation_{0};
  alignas(128) std::atomic<int> pending_{0};
  std::atomic<bool> quit_{false};
  std::exception_ptr error_;
  std::atomic<bool> failed_{false};
};

}  // namespace aquatint::base
