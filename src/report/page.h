// What every page of ours has: one file that needs nothing else and no network.
#pragma once
#include <string>
#include <string_view>

#include "base/json.h"

namespace aquatint::report {

extern const std::string_view kChartScript;  // Chart.js as Debian ships it

// Safe in text and in quoted attributes; invalid UTF-8 and control characters are replaced.
std::string escape_html(std::string_view text);

inline constexpr const char* kBlankCell = "<td class=\"num\"><span class=\"none\">–</span></td>";

// As far as the opened <main>; `style` follows our own style sheet.
std::string page_head(const std::string& title, std::string_view style = "");
// "" without a body. `intro`, `body`: HTML.
std::string page_section(const char* id, const char* heading, const std::string& intro,
                         const std::string& body);
// One figure, in a list of class "tiles". Plain text.
std::string page_tile(const std::string& value, const std::string& label);
// `caption`: HTML. Rows and kCloseTable follow.
std::string open_table(const std::string& caption, const char* style = "");
inline constexpr const char* kCloseTable = "</tbody></table></div>\n";
std::string column(const std::string& title, bool is_number = true);  // of a table's head; HTML
// JSON, safe inside a <script> element.
std::string script_safe(const base::Json& json);

}  // namespace aquatint::report
