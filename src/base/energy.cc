#include "base/energy.h"

#include <fstream>
#include <string>

namespace aquatint::base {
namespace {

template <class T>
std::optional<T> read(const std::filesystem::path& file) {
  std::ifstream stream(file);
  T value;
  if (stream >> value) return value;
  return {};
}

// "package-0", "dram"; not "core" and "uncore", which packages contain, nor "psys", which contains packages.
bool counts(const std::string& zone) { return zone.starts_with("package-") || zone == "dram"; }

}  // namespace

std::optional<EnergyCounter> EnergyCounter::start(const std::filesystem::path& root) {
  EnergyCounter counter;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(root, none)) {
    const auto name = read<std::string>(entry.path() / "name");
    if (!name || !counts(*name)) continue;
    // The same zones stand a second time under intel-rapl-mmio.
    if (entry.path().filename().string().starts_with("intel-rapl-mmio")) continue;
    Zone zone{.energy = entry.path() / "energy_uj"};
    const auto now = read<uint64_t>(zone.energy),
               range = read<uint64_t>(entry.path() / "max_energy_range_uj");
    if (!now || !range || *now > *range) continue;
    zone.last = *now;
    zone.range = *range;
    counter.zones_.push_back(std::move(zone));
  }
  if (counter.zones_.empty()) return {};
  return counter;
}

double EnergyCounter::joules() {
  uint64_t total = 0;
  for (Zone& zone : zones_) {
    const uint64_t now = read<uint64_t>(zone.energy).value_or(zone.last);
    zone.total += now >= zone.last ? now - zone.last : zone.range - zone.last + now;
    zone.last = now;
    total += zone.total;
  }
  return static_cast<double>(total) * 1e-6;
}

}  // namespace aquatint::base
