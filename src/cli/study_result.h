// What study and report print.
#pragma once
#include <string>

#include "base/json.h"
#include "report/study_data.h"

namespace aquatint::cli {

std::string study_text(const report::Study& study);  // the table, then the verdict
base::Json study_json(const report::Study& study);

// "1%" or "0.01" → 0.01. BadUsage otherwise.
double parse_share(const std::string& text);

}  // namespace aquatint::cli
