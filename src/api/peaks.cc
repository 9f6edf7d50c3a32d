#include "api/peaks.h"

#include "kernels/cuda/sets.h"
#include "plan/device.h"

namespace aquatint::api {
namespace {

// Words of the driver's name, and the device of plan/devices.json; the first that fits.
constexpr std::pair<std::string_view, std::string_view> kNames[] = {
    {"H200", "H200"}, {"H100 NVL", "H100-NVL"}, {"H100 PCIe", "H100-80G-PCIE"}, {"H100", "H100-80G"}};

}  // namespace

bench::Peaks data_sheet_peaks(std::string_view driver_name) {
  for (const auto& [words, name] : kNames) {
    if (driver_name.find(words) == driver_name.npos) continue;
    const plan::Device& device = plan::find_device(name);
    bench::Peaks peaks;
    peaks.read_gb_s = device.bandwidth * 1e-9;
    for (const auto& [type, rate] : device.rates) peaks.flop_s.push_back({type, rate});
    return peaks;
  }
  return {};
}

bench::Peaks peaks(const Backend& backend) {
  return backend.on_gpu() ? data_sheet_peaks(kernels::cuda::gpu_name())
                          : bench::measure_peaks(backend.pool());
}

}  // namespace aquatint::api
