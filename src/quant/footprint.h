// What a run of quantize() will need of memory and disk, known before the first weight is read.
#pragma once
#include "quant/plan.h"

namespace aquatint::quant {

struct Footprint {
  uint64_t peak_ram = 0;  // bytes of this process: mapped pages of files count as long as they are used
  uint64_t disk = 0;      // bytes that lie on the disk at once, the result with them
  bool spilled = false;   // states of the calibration tokens lie in files, not in memory
};

// `report`: with the sizes of predict_sizes().
Footprint footprint(const checkpoint::Checkpoint& source, const Plan& plan, const QuantizeJob& job,
                    const Report& report, bool spilled);

// In memory where that fits in the job's budget (none: the machine's memory), else spilled.
Footprint choose_footprint(const checkpoint::Checkpoint& source, const Plan& plan, const QuantizeJob& job,
                           const Report& report);

// What of memory or of the disk beside `to` is too little, in a line; empty when nothing is.
std::string what_is_short(const Footprint& needed, const std::filesystem::path& to, const QuantizeJob& job);

}  // namespace aquatint::quant
