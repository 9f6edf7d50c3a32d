// Tables built in from the JSON files beside this header.
#pragma once
#include <string_view>

namespace aquatint::plan {

extern const std::string_view kDevicesJson, kShapesJson, kEfficienciesJson, kRecoveriesJson;

}  // namespace aquatint::plan
