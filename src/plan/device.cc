#include "plan/device.h"

#include <algorithm>

#include "base/error.h"
#include "base/suggestion.h"
#include "plan/data.h"
#include "plan/names.h"

namespace aquatint::plan {
namespace {

constexpr double kMiB = 1024.0 * 1024.0, kGiga = 1e9, kTera = 1e12;
constexpr const char* kDevicesFile = "devices.json";

Device read_device(const base::Json& json) {
  Device d;
  d.name = base::require_string(json, "name", kDevicesFile);
  d.title = base::require_string(json, "title", kDevicesFile);
  d.architecture = base::require_string(json, "architecture", kDevicesFile);
  d.aliases = json.at("aliases").get<std::vector<std::string>>();
  d.memory_bytes = base::require_number(json, "memory_mib", kDevicesFile) * kMiB;
  d.bandwidth = base::require_number(json, "bandwidth", kDevicesFile) * kGiga;
  d.link = base::require_string(json, "link", kDevicesFile);
  d.link_bandwidth = base::require_number(json, "link_bandwidth", kDevicesFile) * kGiga;
  d.host_bandwidth = base::require_number(json, "host_bandwidth", kDevicesFile) * kGiga;
  d.watts = base::require_number(json, "watts", kDevicesFile);
  d.most = static_cast<int>(base::require_int(json, "most", kDevicesFile, 1));
  for (const auto& [format, rate] : json.at("rates").items()) d.rates[format] = rate.get<double>() * kTera;
  d.source = base::require_string(json, "source", kDevicesFile);
  d.notes = json.at("notes").get<std::vector<std::string>>();
  return d;
}

bool is_called(const Device& device, std::string_view name) {
  return same_name(device.name, name) || std::ranges::any_of(device.aliases, [&](const std::string& alias) {
           return same_name(alias, name);
         });
}

}  // namespace

double Device::rate(std::string_view format) const {
  const auto found = rates.find(format);
  return found == rates.end() ? 0 : found->second;
}

std::span<const Device> devices() {
  static const std::vector<Device> all = [] {
    std::vector<Device> list;
    const base::Json table = base::parse_json(kDevicesJson, kDevicesFile);
    for (const base::Json& json : table.at("devices")) list.push_back(read_device(json));
    return list;
  }();
  return all;
}

const Device& find_device(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Device& device : devices()) {
    if (is_called(device, name)) return device;
    names.push_back(device.name);
  }
  throw base::BadUsage(fmt::format("device {} is unknown{}; aquatint devices lists all, cpu is this machine",
                                   name, base::suggestion(upper(name), names)));
}

base::Json to_json(const Device& d) {
  return {{"name", d.name},
          {"title", d.title},
          {"architecture", d.architecture},
          {"memory_bytes", d.memory_bytes},
          {"bandwidth_bytes_s", d.bandwidth},
          {"link", d.link},
          {"link_bytes_s", d.link_bandwidth},
          {"host_bytes_s", d.host_bandwidth},
          {"watts", d.watts},
          {"rates", d.rates},
          {"source", d.source},
          {"notes", d.notes}};
}

}  // namespace aquatint::plan
