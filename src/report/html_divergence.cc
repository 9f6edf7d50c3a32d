// How far each scheme's next-token distributions lie from the reference's: percentiles, and over the position
// in a window.
#include <cmath>

#include "base/error.h"
#include "report/html_parts.h"
#include "report/svg.h"
#include "report/table.h"

namespace aquatint::report {
namespace {

std::string cell(double value) {
  if (!std::isfinite(value)) return kBlankCell;
  return fmt::format("<td class=\"num\">{}</td>", format_significant(value, 3));
}

std::string percentile_row(const StudyRow& row) {
  std::string out = fmt::format("<tr><th scope=\"row\"><b>{}</b></th>", escape_html(row_name(row)));
  for (const double value :
       {row.mean_kld.value, row.median_kld, row.p90_kld, row.p95_kld, row.p99_kld, row.p999_kld, row.max_kld})
    out += cell(value);
  return out + "</tr>\n";
}

}  // namespace

std::string divergence_section(const Study& study) {
  std::string rows;
  std::vector<svg::Line> lines;
  for (const StudyRow& row : study.rows) {
    if (row.kind == RowKind::reference || !row.mean_kld.known()) continue;
    rows += percentile_row(row);
    if (row.kld_by_position.size() > 1) lines.push_back({escape_html(row_name(row)), row.kld_by_position});
  }
  if (rows.empty()) return "";
  std::string out = open_table(
                        "KL(reference ‖ scheme) at the scored positions, nats. Most positions hardly move; "
                        "the tail is where "
                        "answers change.",
                        "flat") +
                    "<thead><tr>" + column("Scheme", false);
  for (const char* title :
       {"Mean", "Median", "90&#8239;%", "95&#8239;%", "99&#8239;%", "99.9&#8239;%", "Largest"})
    out += column(title);
  out += "</tr></thead>\n<tbody>\n" + rows + kCloseTable;
  const StudyFacts& f = study.facts;
  return out + svg::lines(lines, static_cast<double>(f.score_from), static_cast<double>(f.context - 1),
                          "position in the window", "mean KLD, nats (log scale)",
                          "Divergence over the position of the predicted token: it may grow where errors of "
                          "the cache add up.");
}

}  // namespace aquatint::report
