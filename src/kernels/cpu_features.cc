#include "kernels/cpu_features.h"

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace aquatint::kernels {

#if defined(__x86_64__)
namespace {

enum class State { avx, avx512, amx };  // register state that the operating system must save

struct Feature {
  std::string_view name;
  uint32_t leaf, subleaf;
  char reg;  // 'a' … 'd'
  int bit;
  State state;
};

constexpr Feature kFeatures[] = {
    {"fma", 1, 0, 'c', 12, State::avx},
    {"f16c", 1, 0, 'c', 29, State::avx},
    {"avx2", 7, 0, 'b', 5, State::avx},
    {"avx512f", 7, 0, 'b', 16, State::avx512},
    {"avx512dq", 7, 0, 'b', 17, State::avx512},
    {"avx512bw", 7, 0, 'b', 30, State::avx512},
    {"avx512_bf16", 7, 1, 'a', 5, State::avx512},
    {"avx512vl", 7, 0, 'b', 31, State::avx512},
    {"avx512_vnni", 7, 0, 'c', 11, State::avx512},
    {"amx_bf16", 7, 0, 'd', 22, State::amx},
    {"amx_tile", 7, 0, 'd', 24, State::amx},
    {"amx_int8", 7, 0, 'd', 25, State::amx},
};

uint64_t enabled_states() {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0;  // OSXSAVE
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

// Linux gives a process the 8 KiB of tile registers only when asked (kernel 5.16).
bool request_tiles() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

bool state_saved(State state) {
  static const uint64_t states = enabled_states();
  constexpr uint64_t kAvx = 0x6, kAvx512 = 0xe6, kAmx = 0x60000;
  if (state == State::avx) return (states & kAvx) == kAvx;
  if (state == State::avx512) return (states & kAvx512) == kAvx512;
  static const bool granted = (states & kAmx) == kAmx && request_tiles();
  return granted;
}

}  // namespace

bool cpu_has(std::string_view feature) {
  for (const Feature& f : kFeatures) {
    if (f.name != feature) continue;
    uint32_t a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid_count(f.leaf, f.subleaf, &a, &b, &c, &d)) return false;
    const uint32_t word = f.reg == 'a' ? a : f.reg == 'b' ? b : f.reg == 'c' ? c : d;
    return (word >> f.bit & 1) && state_saved(f.state);
  }
  return false;
}
#else
bool cpu_has(std::string_view) { return false; }
#endif

}  // namespace aquatint::kernels
