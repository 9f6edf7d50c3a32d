#include "base/thread_pool.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/machine.h"

namespace aquatint::base {
namespace {

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

// Spins for about 50 us, the length of a decode region, then sleeps in the kernel: measured 0.2 us against
// 32 us for a futex wake.
template <class T>
void wait_until_changed(std::atomic<T>& value, T old) {
  const auto start = Clock::now();
  do {
    for (int i = 0; i < 64; ++i) {
      if (value.load(std::memory_order_acquire) != old) return;
      pause();
    }
  } while (Clock::now() - start < std::chrono::microseconds(50));
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int threads) : size_(std::max(1, threads)) {
  for (int worker = 1; worker < size_; ++worker) threads_.emplace_back([this, worker] { work(worker); });
}

ThreadPool::~ThreadPool() {
  quit_ = true;
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::run(const std::function<void(int)>& body) {
  if (size_ == 1) return body(0);
  body_ = &body;
  failed_ = false;
  error_ = nullptr;
  pending_.store(size_ - 1, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  std::exception_ptr own;
  try {
    body(0);
  } catch (...) {
    own = std::current_exception();
  }
  for (int left; (left = pending_.load(std::memory_order_acquire)) != 0;) wait_until_changed(pending_, left);
  if (own) std::rethrow_exception(own);
  if (error_) std::rethrow_exception(error_);
}

void ThreadPool::work(int worker) {
  uint32_t seen = 0;
  for (;;) {
    wait_until_changed(generation_, seen);
    seen = generation_.load(std::memory_order_acquire);
    if (quit_) return;
    try {
      (*body_)(worker);
    } catch (...) {
      if (!failed_.exchange(true)) error_ = std::current_exception();
    }
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_all();
  }
}

}  // namespace aquatint::base
