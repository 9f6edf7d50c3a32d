#include <atomic>

#include "base/error.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/sets.h"

namespace aquatint::kernels::cuda {
namespace {

std::atomic<bool> opened{false};

}  // namespace

const KernelSet& kernel_set() {
  open();
  opened = true;
  static const KernelSet set = make_set();
  return set;
}

std::string device_words() {
  try {
    open();
  } catch (const base::Error& e) {
    return e.what();
  }
  return fmt::format("{}, {} multiprocessors, {:.1f} GB free", device_name(), multiprocessors(),
                     static_cast<double>(memory_use().budget) * 1e-9);
}

uint64_t peak_bytes() { return opened ? memory_use().driver_peak : 0; }

}  // namespace aquatint::kernels::cuda
