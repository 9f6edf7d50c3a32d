#include "report/files.h"

#include "base/error.h"
#include "base/file.h"
#include "report/html.h"
#include "report/html_parts.h"
#include "report/task_text.h"

namespace aquatint::report {
namespace {

enum class FileKind { html, json, csv };

FileKind kind_of(const std::filesystem::path& to) {
  const std::string ending = to.extension().string();
  if (ending == ".html") return FileKind::html;
  if (ending == ".json") return FileKind::json;
  if (ending == ".csv") return FileKind::csv;
  throw base::BadUsage(
      fmt::format("--to {}: ends in '{}', expected .html, .json or .csv", to.string(), ending));
}

// With the errors of every layer, which the page shows as a heat map and does not embed: there may be
// thousands.
base::Json file_json(const Study& study) {
  base::Json json = study_data_json(study, decide(study));
  for (size_t i = 0; i < study.rows.size(); ++i)
    for (const LayerError& layer : study.rows[i].layers)
      json["rows"][i]["layers"][layer.name] = {{"relative_error", layer.relative_error},
                                               {"basis", layer.basis}};
  return json;
}

std::string text(const base::Json& json) {
  return json.dump(1, ' ', false, base::Json::error_handler_t::replace) + "\n";
}

}  // namespace

void write_report(const Study& study, const std::filesystem::path& to) {
  switch (kind_of(to)) {
    case FileKind::html:
      return base::write_text(to, render_html(study));
    case FileKind::json:
      return base::write_text(to, text(file_json(study)));
    case FileKind::csv:
      return base::write_text(to, study_csv(study));
  }
}

void write_report(const TaskReport& report, const std::filesystem::path& to) {
  switch (kind_of(to)) {
    case FileKind::html:
      return base::write_text(to, render_html(report));
    case FileKind::json:
      return base::write_text(to, text(task_report_json(report)));
    case FileKind::csv:
      return base::write_text(to, task_report_csv(report));
  }
}

}  // namespace aquatint::report
