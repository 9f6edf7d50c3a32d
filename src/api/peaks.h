// What the chosen device can do at most.
#pragma once
#include <string_view>

#include "api/backend.h"
#include "bench/peaks.h"

namespace aquatint::api {

// A CPU's are measured, in about a second; a GPU's are those of its maker's document.
bench::Peaks peaks(const Backend& backend);

// Of the GPU that its driver calls so; empty when it is none that is known.
bench::Peaks data_sheet_peaks(std::string_view driver_name);

}  // namespace aquatint::api
