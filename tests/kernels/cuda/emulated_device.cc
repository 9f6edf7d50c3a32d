#include "kernels/cuda/emulated_device.h"

#include <ucontext.h>
#include <csetjmp>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/cuda/simt.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace aquatint::kernels::cuda::emulated {
namespace {

constexpr size_t kStack = 128 * 1024;

// Contexts start fibers; jumps switch between them, since they ask nothing of the kernel.
struct Fiber {
  ucontext_t context;
  jmp_buf here;
  char* stack = nullptr;
  bool started = false;
  Extent index;
  bool done = false, waits = false;
  void* fake_stack = nullptr;
};

// What threads of one warp (or warp group) gave to their last two exchanges: a thread may be one ahead.
struct Meeting {
  std::vector<std::byte> given[2];
  const char* what[2] = {};
  int64_t arrived = 0;
};

struct Barrier {
  int64_t arrived = 0;
};

struct Block {
  std::vector<Fiber> fibers;
  std::vector<Meeting> warps;                       // by number
  std::map<std::pair<int, int>, Meeting> meetings;  // of other groups, by (threads, first thread)
  std::map<int, Barrier> barriers;
  std::span<std::byte> shared;
  Extent index, size, grid;
  Fiber* current = nullptr;
  ucontext_t scheduler;
  jmp_buf scheduler_here;
  void* scheduler_fake_stack = nullptr;
  const void* scheduler_stack = nullptr;
  size_t scheduler_stack_size = 0;
  const std::function<void()>* thread = nullptr;
  std::string failure;
};

Block* block = nullptr;  // that runs; one launch at a time
std::mutex one_launch;

// Thrown through a fiber whose kernel went wrong, so that its stack unwinds.
struct Abandoned {};

void to_scheduler(bool for_ever) {
  Fiber& self = *block->current;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(for_ever ? nullptr : &self.fake_stack, block->scheduler_stack,
                                 block->scheduler_stack_size);
#endif
  (void)for_ever;
  if (_setjmp(self.here) == 0) _longjmp(block->scheduler_here, 1);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(self.fake_stack, &block->scheduler_stack, &block->scheduler_stack_size);
#endif
}

void fiber_main() {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(nullptr, &block->scheduler_stack, &block->scheduler_stack_size);
#endif
  try {
    (*block->thread)();
  } catch (const Abandoned&) {
  } catch (const std::exception& e) {
    if (block->failure.empty()) block->failure = e.what();
  }
  block->current->done = true;
  to_scheduler(true);
}

void resume(Fiber& fiber) {
  block->current = &fiber;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(&block->scheduler_fake_stack, fiber.stack, kStack);
#endif
  if (_setjmp(block->scheduler_here) == 0) {
    if (fiber.started) _longjmp(fiber.here, 1);
    fiber.started = true;
    swapcontext(&block->scheduler, &fiber.context);
  }
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(block->scheduler_fake_stack, nullptr, nullptr);
#endif
}

void fail(const std::string& why) {
  if (block->failure.empty()) block->failure = why;
  throw Abandoned();
}

void start(Fiber& fiber, Extent index) {
  fiber.index = index;
  fiber.done = fiber.waits = fiber.started = false;
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack;
  fiber.context.uc_stack.ss_size = kStack;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, fiber_main, 0);
}

void run_block() {
  for (Meeting& m : block->warps) m.arrived = 0;
  block->meetings.clear();
  block->barriers.clear();
  std::fill(block->shared.begin(), block->shared.end(), std::byte{0xff});
  size_t i = 0;
  for (uint32_t z = 0; z < block->size.z; ++z)
    for (uint32_t y = 0; y < block->size.y; ++y)
      for (uint32_t x = 0; x < block->size.x; ++x) start(block->fibers[i++], {x, y, z});
  for (size_t left = block->fibers.size(); left > 0;) {
    bool progress = false;
    for (Fiber& fiber : block->fibers) {
      if (fiber.done) continue;
      fiber.waits = false;
      resume(fiber);
      if (fiber.done) --left;
      if (fiber.done || !fiber.waits) progress = true;
    }
    if (!progress && block->failure.empty()) block->failure = "all threads wait for each other";
    // Those that still wait see the failure and unwind.
  }
}

}  // namespace

Extent thread_index() { return block->current->index; }
Extent block_index() { return block->index; }
Extent block_size() { return block->size; }
Extent grid_size() { return block->grid; }
std::span<std::byte> shared_memory() { return block->shared; }

void wait_until(const char* what, const std::function<bool()>& condition) {
  bool waited = false;
  while (!condition()) {
    // A thread that waited, went on and waits again has made progress.
    block->current->waits = waited;
    waited = true;
    to_scheduler(false);
    if (!block->failure.empty()) {
      block->failure += block->failure.find(" at ") == std::string::npos ? std::string(" at ") + what : "";
      throw Abandoned();
    }
  }
}

const std::byte* exchange(int count, const char* what, const void* given, size_t bytes, size_t& stride) {
  const int self = static_cast<int>(thread_index().x), first = self / count * count;
  if (block->size.x % static_cast<uint32_t>(count) != 0)
    fail(std::string(what) + " in a block that is not made of whole groups of threads");
  Meeting& m =
      count == kWarp ? block->warps[static_cast<size_t>(first / kWarp)] : block->meetings[{count, first}];
  const int64_t round = m.arrived / count;  // all of this round have not come yet
  const auto side = static_cast<size_t>(round % 2);
  stride = (bytes + 15) / 16 * 16;
  if (m.given[side].empty()) m.given[side].resize(static_cast<size_t>(count) * kExchange);
  if (m.arrived % count == 0) m.what[side] = what;
  if (std::strcmp(m.what[side], what) != 0)
    fail(std::string("threads of one warp are at ") + m.what[side] + " and at " + what);
  std::memcpy(m.given[side].data() + static_cast<size_t>(self - first) * stride, given, bytes);
  ++m.arrived;
  wait_until(what, [&m, round, count] { return m.arrived >= (round + 1) * count; });
  return m.given[side].data();
}

void barrier(int id, int count) {
  const int64_t threads = count > 0 ? count : static_cast<int64_t>(block->fibers.size());
  Barrier& b = block->barriers[id];
  const int64_t round = b.arrived / threads;
  ++b.arrived;
  wait_until("a barrier", [&b, round, threads] { return b.arrived >= (round + 1) * threads; });
}

void run(const Launch& launch, const std::function<void()>& thread) {
  const std::lock_guard lock(one_launch);
  Block state;
  state.size = launch.block;
  state.grid = launch.grid;
  state.fibers.resize(size_t{launch.block.x} * launch.block.y * launch.block.z);
  state.warps.resize(state.fibers.size() / kWarp + 1);
  static std::vector<std::unique_ptr<char[]>> stacks;  // kept: fresh pages cost more than most kernels
  for (size_t i = 0; i < state.fibers.size(); ++i) {
    if (i == stacks.size()) stacks.emplace_back(new char[kStack]);
    state.fibers[i].stack = stacks[i].get();
  }
  void* shared = nullptr;
  if (launch.shared_bytes > 0 && posix_memalign(&shared, 1024, launch.shared_bytes) != 0)
    throw std::bad_alloc();
  const std::unique_ptr<void, decltype(&std::free)> owner(shared, std::free);
  state.shared = {static_cast<std::byte*>(shared), launch.shared_bytes};
  state.thread = &thread;
  block = &state;
  for (uint32_t z = 0; z < launch.grid.z && state.failure.empty(); ++z)
    for (uint32_t y = 0; y < launch.grid.y && state.failure.empty(); ++y)
      for (uint32_t x = 0; x < launch.grid.x && state.failure.empty(); ++x) {
        state.index = {x, y, z};
        run_block();
      }
  block = nullptr;
  if (!state.failure.empty()) throw std::logic_error("emulated kernel: " + state.failure);
}

}  // namespace aquatint::kernels::cuda::emulated

namespace aquatint::kernels::cuda {

void open() {}
std::string device_name() { return "emulated"; }

void* allocate(size_t bytes, std::string_view, std::string_view) {
  void* memory = nullptr;
  if (posix_memalign(&memory, 256, bytes) != 0) throw std::bad_alloc();
  std::memset(memory, 0xff, bytes);  // nobody may count on zeros
  return memory;
}
void release(void* memory) { std::free(memory); }
void reset_peak() {}
MemoryUse memory_use() { return {uint64_t{1} << 40, 0, 0, 0}; }

Stream stream() { return nullptr; }
void copy_to_device(void* to, const void* from, size_t bytes) {
  if (notes) notes->add_done();
  std::memcpy(to, from, bytes);
}
void copy_to_host(void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }
void copy_runs(void* to, size_t to_step, const void* from, size_t from_step, size_t bytes, size_t count) {
  for (size_t i = 0; i < count; ++i)
    std::memcpy(static_cast<std::byte*>(to) + i * to_step,
                static_cast<const std::byte*>(from) + i * from_step, bytes);
}
void zero(void* at, size_t bytes) {
  if (notes) return notes->add(at), notes->add(bytes);
  std::memset(at, 0, bytes);
}
void synchronize() {}
void* workspace(Purpose purpose, size_t bytes) {
  static std::map<Purpose, DeviceBuffer> buffers;
  DeviceBuffer& buffer = buffers[purpose];
  if (buffer.size() < bytes) buffer = DeviceBuffer(bytes);
  return buffer.data();
}
// Repeated work must ask for the same twice, also when it first had to prepare something.
void repeat(const std::function<void()>& body) {
  noted(body);
  const Notes first = noted(body), second = noted(body);
  if (first.done() || !(first.key() == second.key()))
    throw std::logic_error("work that repeats does not ask for the same operations twice");
  body();
}
int multiprocessors() { return emulated::multiprocessors; }
void check(int error, const char* what) {
  if (error != 0) throw std::logic_error(what);
}

}  // namespace aquatint::kernels::cuda
