// An answer as one offline HTML page, whose sliders ask the same model again.
#pragma once
#include <string>

#include "plan/planner.h"

namespace aquatint::plan {

std::string as_page(const Answer& answer);

}  // namespace aquatint::plan
