// The pieces of report.html. Internal to the room. All take plain text and return escaped HTML.
#pragma once
#include <string>
#include <string_view>

#include "base/json.h"
#include "report/study_data.h"
#include "report/verdict.h"

namespace aquatint::report {

// Embedded at build time: Chart.js as Debian ships it, and our own style sheet and script.
extern const std::string_view kChartScript, kReportScript, kReportStyle;

// Safe in text and in quoted attributes; invalid UTF-8 and control characters are replaced.
std::string escape_html(std::string_view text);

inline constexpr const char* kBlankCell = "<td class=\"num\"><span class=\"none\">–</span></td>";

std::string page_head(const std::string& title);  // as far as the opened <main>
// "" without a body. `intro`, `body`: HTML.
std::string page_section(const char* id, const char* heading, const std::string& intro,
                         const std::string& body);
// `caption`: HTML. Rows and kCloseTable follow.
std::string open_table(const std::string& caption, const char* style = "");
inline constexpr const char* kCloseTable = "</tbody></table></div>\n";
std::string column(const std::string& title, bool is_number = true);  // of a table's head; HTML
// JSON, safe inside a <script> element.
std::string script_safe(const base::Json& json);

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
