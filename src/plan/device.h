// What machines can do, as their makers state it: devices.json, built in. Rates are dense; data sheets often
// show twice that, for sparse matrices.
#pragma once
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace aquatint::plan {

struct Device {
  std::string name;  // "H100-80G"
  std::string title, architecture;
  std::vector<std::string> aliases;
  double memory_bytes = 0;    // what the driver shows; 80 of a data sheet's GB are 80 · 2³⁰ bytes
  double bandwidth = 0;       // bytes/s of its memory
  std::string link;           // between cards of one machine
  double link_bandwidth = 0;  // bytes/s in one direction, of one card
  double host_bandwidth = 0;  // bytes/s from the host's memory, one direction
  double watts = 0;
  int most = 8;  // cards in one machine
  // Dense operations/s (a multiply-add is two) by the format of both operands; formats without an entry are
  // computed in a wider one that has one.
  std::map<std::string, double, std::less<>> rates;
  std::string source;              // the maker's document and its date
  std::vector<std::string> notes;  // what is often stated otherwise

  // 0 where the hardware has no such unit.
  double rate(std::string_view format) const;
};

std::span<const Device> devices();  // built in, largest memory last
// By name or alias, whatever the case; BadUsage that lists near names.
const Device& find_device(std::string_view name);

base::Json to_json(const Device& device);

}  // namespace aquatint::plan
