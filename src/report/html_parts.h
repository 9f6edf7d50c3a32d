// The pieces of report.html. Internal to the room. All take plain text and return escaped HTML.
#pragma once
#include <string>
#include <string_view>

#include "report/page.h"
#include "report/study_data.h"
#include "report/verdict.h"

namespace aquatint::report {

// Embedded at build time: our own style sheet and script.
extern const std::string_view kReportScript, kReportStyle;

std::string main_table(const Study& study, const Verdict& verdict);
std::string speed_table(const Study& study, const Verdict& verdict);  // "" without speed
std::string task_table(const Study& study, const Verdict& verdict);   // "" without tasks
std::string task_changes(const Study& study);                         // "" without a reference's tasks
std::string divergence_section(const Study& study);                   // "" without divergences
std::string memory_section(const Study& study);                       // "" without ledgers
std::string heat_maps(const Study& study);                            // "" without layers
std::string provenance_section(const Study& study);

// Everything above as one document.
base::Json study_data_json(const Study& study, const Verdict& verdict);

}  // namespace aquatint::report
