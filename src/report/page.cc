#include "report/page.h"

#include "base/error.h"
#include "report/html_parts.h"

namespace aquatint::report {
namespace {

// Nothing may be loaded from anywhere, whatever a string from a file tries.
constexpr const char* kPolicy =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri "
    "'none'; "
    "form-action 'none'";

}  // namespace

std::string page_head(const std::string& title, std::string_view style) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<title>{}</title>\n<style>\n{}{}</style>\n</head>\n<body>\n<main>\n",
      kPolicy, escape_html(title), kReportStyle, style);
}

std::string page_section(const char* id, const char* heading, const std::string& intro,
                         const std::string& body) {
  if (body.empty()) return "";
  const std::string text = intro.empty() ? "" : fmt::format("<p class=\"aside\">{}</p>\n", intro);
  return fmt::format("<section aria-labelledby=\"{0}\">\n<h2 id=\"{0}\">{1}</h2>\n{2}{3}</section>\n", id,
                     heading, text, body);
}

std::string page_tile(const std::string& value, const std::string& label) {
  return fmt::format("<li><b>{}</b><span>{}</span></li>\n", escape_html(value), escape_html(label));
}

std::string open_table(const std::string& caption, const char* style) {
  return fmt::format(
      "<div class=\"scroll\" tabindex=\"0\"><table class=\"{}\"><caption><span>{}</span></caption>\n", style,
      caption);
}

std::string column(const std::string& title, bool is_number) {
  return fmt::format("<th scope=\"col\"{}>{}</th>", is_number ? " class=\"num\"" : "", title);
}

std::string script_safe(const base::Json& json) {
  const std::string text = json.dump(-1, ' ', false, base::Json::error_handler_t::replace);
  // "</script" and "<!--" inside a string would end or change the element.
  std::string safe;
  for (const char c : text) safe += c == '<' ? "\\u003c" : std::string(1, c);
  return safe;
}

}  // namespace aquatint::report
