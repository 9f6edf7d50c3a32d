// Built in from the files beside this header.
#pragma once
#include <string_view>

namespace aquatint::plan {

extern const std::string_view kDevicesJson, kShapesJson, kEfficienciesJson, kRecoveriesJson;
// Of the page: the model in JavaScript, what draws it, and what our pages' style lacks.
extern const std::string_view kModelScript, kPageScript, kPageStyle;

}  // namespace aquatint::plan
