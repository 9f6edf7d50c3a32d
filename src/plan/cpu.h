// This machine as a device: what it reaches is measured, not looked up.
#pragma once
#include "base/thread_pool.h"
#include "kernels/ops.h"
#include "plan/choice.h"
#include "plan/efficiency.h"

namespace aquatint::plan {

struct MeasuredCpu {
  Device device;  // named "cpu"
  Efficiency efficiency;
};

// Some seconds for each shape and choice: peaks, then blocks of these shapes under these choices.
MeasuredCpu measure_cpu(const kernels::KernelSet& set, base::ThreadPool& pool,
                        const std::vector<Shape>& shapes, const std::vector<Choice>& choices);

}  // namespace aquatint::plan
