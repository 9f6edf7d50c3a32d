// What ptx/async_copy.h says: bytes arrive when their thread waits for them, not before.
#include "kernels/cuda/ptx/async_copy.h"

#include <deque>
#include <map>
#include <stdexcept>
#include <vector>

namespace aquatint::kernels::cuda::ptx {
namespace {

struct Copy {
  void* to;
  const void* from;
};

struct Pending {
  std::vector<Copy> open;
  std::deque<std::vector<Copy>> closed;
};

// Threads of the block that runs; a kernel leaves nothing behind.
Pending& of_thread() {
  static std::map<uint32_t, Pending> all;
  return all[threadIdx.x];
}

void check_address(const void* p) {
  if (reinterpret_cast<uintptr_t>(p) % 16 != 0) throw std::logic_error("copy_async of an odd address");
}

}  // namespace

void copy_async(void* to, const void* from, bool valid) {
  check_address(to);
  if (valid) check_address(from);
  of_thread().open.push_back({to, valid ? from : nullptr});
}
void close_copies() {
  Pending& p = of_thread();
  p.closed.push_back(std::move(p.open));
  p.open.clear();
}
void wait_copies_but(int groups) {
  Pending& p = of_thread();
  for (; p.closed.size() > static_cast<size_t>(groups); p.closed.pop_front())
    for (const Copy& c : p.closed.front()) {
      if (c.from)
        std::memcpy(c.to, c.from, 16);
      else
        std::memset(c.to, 0, 16);
    }
}

}  // namespace aquatint::kernels::cuda::ptx
