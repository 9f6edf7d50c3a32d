// The pieces of report.html. Internal to the room. All take plain text and return escaped HTML.
#pragma once
#include <string>
#include <string_view>

#include "report/study_data.h"
#include "report/verdict.h"

namespace aquatint::report {

// Embedded at build time: Chart.js as Debian ships it, and our own style sheet and script.
extern const std::string_view kChartScript, kReportScript, kReportStyle;

// Safe in text and in quoted attributes; invalid UTF-8 and control characters are replaced.
std::string escape_html(std::string_view text);

std::string main_table(const Study& study, const Verdict& verdict);
std::string speed_table(const Study& study, const Verdict& verdict);  // "" without speed
std::string task_table(const Study& study, const Verdict& verdict);   // "" without tasks
std::string task_changes(const Study& study);                         // "" without a reference's tasks
std::string divergence_section(const Study& study);                   // "" without divergences
std::string heat_maps(const Study& study);                            // "" without layers
std::string provenance_section(const Study& study);

// Everything above as one JSON document, safe inside a <script> element.
std::string embedded_json(const Study& study, const Verdict& verdict);

}  // namespace aquatint::report
