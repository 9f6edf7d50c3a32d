#include "base/json.h"
#include "report/page.h"

namespace aquatint::report {

std::string escape_html(std::string_view text) {
  // nlohmann's writer repairs invalid UTF-8; its quoting is undone by reading the string back.
  const base::Json repaired = base::Json::parse(
      base::Json(std::string(text)).dump(-1, ' ', false, base::Json::error_handler_t::replace));
  std::string out;
  for (const char c : repaired.get_ref<const std::string&>()) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default: {
        const auto byte = static_cast<unsigned char>(c);
        const bool control = (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f;
        out += control ? "\xef\xbf\xbd" : std::string(1, c);
      }
    }
  }
  return out;
}

}  // namespace aquatint::report
