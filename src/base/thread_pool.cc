#include "base/thread_pool.h"

#include <sched.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/machine.h"
#include "base/processors.h"

namespace aquatint::base {
namespace {

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

// The processors of the workers, from the one that the caller is on. Empty for pools that do not have one for
// each. The caller itself stays free: pinned, it gains nothing and suffers from whoever shares its processor,
// and threads that it starts would inherit the pin.
std::vector<int> homes(int size) {
  if (size == 1 || size > usable_cpus()) return {};
  std::vector<int> processors = allowed_processors();
  const auto here = std::find(processors.begin(), processors.end(), sched_getcpu());
  if (here != processors.end()) std::rotate(processors.begin(), here, processors.end());
  return processors;
}

}  // namespace

template <class T>
void Patience::wait_until_changed(std::atomic<T>& value, T old) {
  const auto start = Clock::now();
  do {
    for (int i = 0; i < 16; ++i) {
      if (value.load(std::memory_order_acquire) != old) return learn(Clock::now() - start);
      pause();
    }
  } while (Clock::now() - start < limit_);
  value.wait(old, std::memory_order_acquire);
  learn(Clock::now() - start);
}

void Patience::learn(std::chrono::nanoseconds waited) {
  limit_ = waited > kLongestSpin ? limit_ / 2 : std::min(kLongestSpin, limit_ + kGrowth);
}

ThreadPool::ThreadPool(int threads)
    : size_(std::max(1, threads)), tickets_(std::make_unique<Ticket[]>(static_cast<size_t>(size_))) {
  const int started = std::min(size_, usable_cpus());
  const std::vector<int> home = homes(size_);
  for (int worker = 1; worker < started; ++worker)
    threads_.emplace_back([this, worker, home] {
      if (!home.empty()) pin_this_thread(home[static_cast<size_t>(worker) % home.size()]);
      work(worker);
    });
}

ThreadPool::~ThreadPool() {
  quit_ = true;
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::run_region(Region region) {
  if (size_ == 1) return region.call(region.body, 0);
  region_ = region;
  failed_ = false;
  error_ = nullptr;
  pending_.store(size_, std::memory_order_relaxed);
  const uint32_t generation = generation_.load(std::memory_order_relaxed) + 1;
  for (int i = 0; i < size_; ++i)
    tickets_[static_cast<size_t>(i)].state.store(2 * generation, std::memory_order_release);
  generation_.store(generation, std::memory_order_release);
  if (!threads_.empty()) generation_.notify_all();
  take_parts(0, generation);
  for (int left; (left = pending_.load(std::memory_order_acquire)) != 0;)
    patience_.wait_until_changed(pending_, left);
  if (error_) std::rethrow_exception(error_);
}

// A part that is taken belongs to a region that has not ended: only then may region_ be read.
void ThreadPool::take_parts(int first, uint32_t generation) {
  for (int i = 0; i < size_; ++i) {
    const int worker = (first + i) % size_;
    uint32_t open = 2 * generation;
    if (!tickets_[static_cast<size_t>(worker)].state.compare_exchange_strong(open, open + 1,
                                                                             std::memory_order_acquire))
      continue;
    try {
      region_.call(region_.body, worker);
    } catch (...) {
      if (!failed_.exchange(true)) error_ = std::current_exception();
    }
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_all();
  }
}

void ThreadPool::work(int worker) {
  Patience patience;
  uint32_t seen = 0;
  for (;;) {
    patience.wait_until_changed(generation_, seen);
    seen = generation_.load(std::memory_order_acquire);
    if (quit_) return;
    take_parts(worker, seen);
  }
}

}  // namespace aquatint::base
