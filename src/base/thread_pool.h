// A small pool for parallel regions of microseconds to seconds: the caller works too, workers spin briefly
// and then sleep, so an idle or oversubscribed machine is not burnt.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

namespace aquatint::base {

class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // at least 1; the caller is one of them
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  int size() const { return size_; }

  // Calls body(worker) once for each worker 0 … size()-1 and waits. The first exception is rethrown here.
  // Not reentrant: a body must not call run() of the same pool.
  void run(const std::function<void(int worker)>& body);

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
  void work(int worker);

  int size_;
  std::vector<std::thread> threads_;
  const std::function<void(int)>* body_ = nullptr;
  alignas(128) std::atomic<uint32_t> generation_{0};
  alignas(128) std::atomic<int> pending_{0};
  std::atomic<bool> quit_{false};
  std::exception_ptr error_;
  std::atomic<bool> failed_{false};
};

}  // namespace aquatint::base
