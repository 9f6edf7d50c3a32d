#include "base/error.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/sets.h"

namespace aquatint::kernels::cuda {

const KernelSet& kernel_set() {
  open();
  static const KernelSet set = make_set();
  return set;
}

std::string gpu_name() { return device_name(); }

std::string device_words() {
  try {
    open();
  } catch (const base::Error& e) {
    return e.what();
  }
  return fmt::format("{}, {} multiprocessors, {:.1f} GB free", device_name(), multiprocessors(),
                     static_cast<double>(memory_use().budget) * 1e-9);
}

}  // namespace aquatint::kernels::cuda
