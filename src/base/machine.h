// Facts about this process and its machine that belong beside every measured number.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace aquatint::base {

std::string version();       // "0.1.0"
std::string cpu_name();      // /proc/cpuinfo's model name plus the feature bits that choose kernels
uint64_t ram_bytes();        // resident set size of this process now
uint64_t peak_ram_bytes();   // highest so far, or since reset_peak_ram()
void reset_peak_ram();       // where the kernel forbids it, the peak stays that of the whole process
uint64_t total_ram_bytes();  // of the machine or the cgroup, whichever is less
std::string utc_date();      // "2026-01-31T12:00:00Z"

using Clock = std::chrono::steady_clock;
inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace aquatint::base
