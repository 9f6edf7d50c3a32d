// What the processors and their memory have drawn, from the counters that Linux shows under
// /sys/class/powercap (RAPL: microjoules that wrap around). Most systems let only root read them, and virtual
// machines have none.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace aquatint::base {

class EnergyCounter {
 public:
  // Begins to count; null where no counter can be read. All packages, and memory where it is counted apart.
  static std::optional<EnergyCounter> start(const std::filesystem::path& root = "/sys/class/powercap");

  // Joules since the start, of the whole machine, whoever used them. A counter may wrap once between two
  // calls (at 200 W after 20 minutes or more).
  double joules();

 private:
  struct Zone {
    std::filesystem::path energy;
    uint64_t range = 0, last = 0, total = 0;  // microjoules
  };
  std::vector<Zone> zones_;
};

}  // namespace aquatint::base
