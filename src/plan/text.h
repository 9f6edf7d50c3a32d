// An answer as a terminal shows it: table, chart, reasons, warnings.
#pragma once
#include <string>

#include "plan/planner.h"

namespace aquatint::plan {

std::string as_text(const Answer& answer, int rows = 12);
std::string device_table(const std::vector<Device>& devices);
// Every device against every format: native, or what it is computed in.
std::string support_table(const std::vector<Device>& devices);

}  // namespace aquatint::plan
