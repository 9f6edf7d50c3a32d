#include "bench/read_bandwidth.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/machine.h"

namespace aquatint::bench {
namespace {

constexpr double kSeconds = 0.4;
constexpr int kFewestPasses = 4;
constexpr int64_t kStreams = 4;           // reads of one thread at once: one alone leaves memory idle
constexpr int64_t kPrefetchBytes = 2048;  // ahead in each stream
constexpr int64_t kGrain = int64_t{1} << 22;

// 32 bytes, read as two 16-byte loads where the machine has no wider ones.
using Vector = uint64_t __attribute__((vector_size(32)));

class Mapping {
 public:
  explicit Mapping(int64_t bytes) : bytes_(static_cast<size_t>(bytes)) {
    data_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data_ == MAP_FAILED)
      throw base::OutOfResource(
          fmt::format("measuring the read bandwidth: no memory for a buffer of {} MB", bytes_ >> 20));
    madvise(data_, bytes_, MADV_HUGEPAGE);  // as the weights do; 4 KiB pages are slower
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { munmap(data_, bytes_); }
  char* data() const { return static_cast<char*>(data_); }

 private:
  size_t bytes_;
  void* data_;
};

// Reads [begin, begin + bytes) in kStreams runs side by side; bytes is a multiple of 4 MiB.
uint64_t read_all(const char* begin, int64_t bytes) {
  const int64_t run = bytes / kStreams;
  Vector sums[kStreams] = {};
  for (int64_t at = 0; at < run; at += 64)
    for (int64_t stream = 0; stream < kStreams; ++stream) {
      const char* line = begin + stream * run + at;
      __builtin_prefetch(line + kPrefetchBytes);
      Vector low, high;
      std::memcpy(&low, line, sizeof low);
      std::memcpy(&high, line + sizeof low, sizeof high);
      sums[stream] += low ^ high;
    }
  uint64_t sum = 0;
  for (const Vector& each : sums) sum += each[0] + each[1] + each[2] + each[3];
  return sum;
}

}  // namespace

double measure_read_gb_s(base::ThreadPool& pool, uint64_t bytes) {
  const int64_t size = base::round_up(static_cast<int64_t>(std::max<uint64_t>(bytes, 1)), kGrain);
  const Mapping buffer(size);
  // Whoever reads a part writes it first, so that it lies on that thread's memory node.
  pool.parallel_for(size, kGrain, [&](int64_t begin, int64_t end) {
    std::memset(buffer.data() + begin, 1, static_cast<size_t>(end - begin));
  });
  std::vector<uint64_t> sums(static_cast<size_t>(size / kGrain));  // kept, or the reads could be left out
  double best = 0;
  const auto start = base::Clock::now();
  for (int pass = 0; pass < kFewestPasses || base::seconds_since(start) < kSeconds; ++pass) {
    const auto pass_start = base::Clock::now();
    pool.parallel_for(size, kGrain, [&](int64_t begin, int64_t end) {
      sums[static_cast<size_t>(begin / kGrain)] += read_all(buffer.data() + begin, end - begin);
    });
    best = std::max(best, static_cast<double>(size) / base::seconds_since(pass_start));
  }
  uint64_t sum = 0;
  for (const uint64_t each : sums) sum += each;
  AQ_CHECK(sum % 2 == 0, "sums of equal words in pairs: {}", sum);
  return best / 1e9;
}

}  // namespace aquatint::bench
