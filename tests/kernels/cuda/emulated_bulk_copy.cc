// What ptx/bulk_copy.h says (PTX ISA 9.0, "mbarrier", "cp.async.bulk"). A copy spoils its destination when it
// is issued and delivers when somebody waits for it: early readers and writers over what is still read show.
#include "kernels/cuda/ptx/bulk_copy.h"

#include <map>
#include <stdexcept>
#include <vector>

namespace aquatint::kernels::cuda::ptx {
namespace {

struct Copy {
  void* to;
  const void* from;
  uint32_t bytes;
};
struct State {
  uint32_t arrivals = 0, pending = 0, phase = 0;
  int64_t bytes = 0;  // announced, not yet there
  std::vector<Copy> copies;
};

std::map<const Barrier*, State> states;

State& state(const Barrier* b) {
  const auto found = states.find(b);
  if (found == states.end()) throw std::logic_error("a barrier that was not initialized");
  return found->second;
}

void end_phase(State& s) {
  if (s.pending > 0 || s.bytes != 0) return;
  s.pending = s.arrivals;
  ++s.phase;
}

void deliver(State& s) {
  for (const Copy& c : s.copies) {
    std::memcpy(c.to, c.from, c.bytes);
    s.bytes -= c.bytes;
  }
  if (s.copies.empty()) return;
  s.copies.clear();
  end_phase(s);
}

}  // namespace

void barrier_init(Barrier* b, uint32_t arrivals) { states[b] = {arrivals, arrivals, 0, 0, {}}; }
void barrier_init_fence() {}
void barrier_expect(Barrier* b, uint32_t bytes) {
  State& s = state(b);
  if (s.pending == 0) throw std::logic_error("more arrivals at a barrier than it was made for");
  --s.pending;
  s.bytes += bytes;
  end_phase(s);
}
void barrier_wait(Barrier* b, uint32_t parity) {
  emulated::wait_until("barrier_wait", [b, parity] {
    State& s = state(b);
    deliver(s);
    return s.phase % 2 != parity;
  });
}
uint64_t evict_first() { return 0; }
uint64_t evict_normal() { return 0; }
void bulk_copy(void* to, const void* from, uint32_t bytes, Barrier* b, uint64_t) {
  const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
  if (!aligned(to) || !aligned(from) || bytes % 16 != 0) throw std::logic_error("bulk copy off 16 bytes");
  std::memset(to, 0xff, bytes);
  state(b).copies.push_back({to, from, bytes});
}

}  // namespace aquatint::kernels::cuda::ptx
