// What a parallel region costs, and how a decode step (150 short regions with little between them) fares
// alone, beside busy processes and with more threads than processors.
//   pool_bench [--seconds=1]
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/machine.h"
#include "base/processors.h"
#include "base/thread_pool.h"

namespace aquatint::base {
namespace {

constexpr int kRegions = 150;
constexpr int64_t kRegionWork = 2 * 24000,
                  kSerialWork = 3000;  // dependent additions: about 7 us and 1 us on 2 threads
double g_seconds = 1;

void work(int64_t additions) {
  int64_t sum = 0;
  for (int64_t i = 0; i < additions; ++i) __asm__ volatile("add $1, %0" : "+r"(sum));
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

double empty_region_ns(int threads) {
  ThreadPool pool(threads);
  std::vector<double> samples;
  for (int i = 0; i < 200; ++i) {
    const auto start = Clock::now();
    for (int j = 0; j < 100; ++j) pool.run([](int) {});
    samples.push_back(seconds_since(start) * 1e9 / 100);
  }
  return median(samples);
}

double steps_per_second(int threads) {
  ThreadPool pool(threads);
  const auto begin = Clock::now();
  std::vector<double> samples;
  while (seconds_since(begin) < g_seconds) {
    const auto start = Clock::now();
    for (int i = 0; i < kRegions; ++i) {
      pool.run([&](int) { work(kRegionWork / pool.size()); });
      work(kSerialWork);
    }
    samples.push_back(seconds_since(start));
  }
  return static_cast<double>(samples.size()) / seconds_since(begin);
}

// Processes that never sleep, until they go out of scope.
class Busy {
 public:
  explicit Busy(int count) {
    for (int i = 0; i < count; ++i) {
      const pid_t pid = fork();
      if (pid == 0)
        for (;;) work(1 << 20);
      pids_.push_back(pid);
    }
  }
  ~Busy() {
    for (const pid_t pid : pids_) kill(pid, SIGKILL), waitpid(pid, nullptr, 0);
  }

 private:
  std::vector<pid_t> pids_;
};

void report() {
  const int cpus = usable_cpus();
  fmt::print("{}, {} processors\n", cpu_name(), cpus);
  fmt::print("empty region, {} threads              {:8.0f} ns\n", cpus, empty_region_ns(cpus));
  fmt::print("decode step,  1 thread              {:8.1f} /s\n", steps_per_second(1));
  fmt::print("decode step, {:2} threads             {:8.1f} /s\n", cpus, steps_per_second(cpus));
  fmt::print("decode step, {:2} threads             {:8.1f} /s\n", 4 * cpus, steps_per_second(4 * cpus));
  for (const int busy : {1, cpus}) {
    const Busy others(busy);
    fmt::print("decode step, {:2} threads, {:2} others busy {:6.1f} /s\n", cpus, busy,
               steps_per_second(cpus));
  }
}

}  // namespace
}  // namespace aquatint::base

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i)
    if (std::strncmp(argv[i], "--seconds=", 10) == 0) aquatint::base::g_seconds = std::atof(argv[i] + 10);
  aquatint::base::report();
}
