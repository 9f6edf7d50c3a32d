#include "report/html_changes.h"

#include <cmath>

#include "base/error.h"
#include "report/html_parts.h"
#include "report/svg.h"
#include "report/task_text.h"

namespace aquatint::report {
namespace {

constexpr size_t kLongestQuestion = 400, kLongestAnswer = 160;  // bytes shown

std::string points(double share, int decimals = 1) {
  return fmt::format("{}{:.{}f}", share < 0 ? "−" : "+", std::abs(100 * share), decimals);
}

std::string flip_item(const FlipExample& flip) {
  const auto answer = [](const char* who, const std::string& text, bool right) {
    return fmt::format("<dt>{}</dt><dd class=\"{}\">{}</dd>", who, right ? "right" : "wrong",
                       escape_html(one_line(text, kLongestAnswer)));
  };
  return fmt::format("<li><p><b>{}, line {}</b> {}</p><dl>{}{}</dl></li>\n", escape_html(flip.task),
                     flip.line, escape_html(one_line(flip.question, kLongestQuestion)),
                     answer("Reference", flip.reference, flip.lost), answer("Here", flip.model, !flip.lost));
}

}  // namespace

std::string open_changes(const std::string& first_column) {
  return open_table(
             "Accuracy points over the reference on the same items, with a 95&#8239;% interval for paired "
             "proportions; bold where it leaves out zero. Lost: right by the reference, wrong here. "
             "Recovery: "
             "accuracy above chance, of the reference's, tasks weighted equally, with a 95&#8239;% interval "
             "by "
             "bootstrap over items.") +
         "<thead><tr>" + column(first_column, false);
}

std::string change_cell(const eval::PairedDifference& difference, const eval::Flips& flips) {
  const bool clear = difference.low > 0 || difference.high < 0;
  return fmt::format("<td class=\"num{}\">{}<small>{} to {} · {} lost, {} gained</small></td>",
                     clear ? " clear" : "", points(difference.mean), points(difference.low),
                     points(difference.high), flips.lost.size(), flips.gained.size());
}

std::string recovery_cell(const eval::RecoveryEstimate& estimate) {
  if (!estimate.value) return kBlankCell;
  const std::string interval = estimate.interval
                                   ? fmt::format("<small>{:.1f} to {:.1f}</small>",
                                                 100 * estimate.interval->low, 100 * estimate.interval->high)
                                   : "";
  return fmt::format("<td class=\"num\">{:.1f}&#8239;%{}</td>", 100 * *estimate.value, interval);
}

std::string difference_chart(const eval::DifferenceHistogram& h, const std::string& whose) {
  std::vector<svg::Bar> bars;
  int64_t differences = 0;
  for (const auto& bin : h.bins) {
    bars.push_back({bin.centre, static_cast<double>(bin.count)});
    differences += bin.count;
  }
  if (differences < 2) return "";
  const std::string caption = fmt::format(
      "Changes of all tasks of all {}, points: mean {} (p of zero {:.2f}), {:.0f}&#8239;% within ±2 "
      "(shaded). The outermost bars hold what lies farther out.",
      whose, points(h.mean / 100, 2), h.p, 100 * h.share_in_band);
  return svg::histogram(bars, {-2.5, 2.5}, "points", caption);
}

std::string flips_section(const std::vector<NamedFlips>& models) {
  std::string out;
  for (const NamedFlips& model : models) {
    if (model.examples.empty()) continue;
    out += fmt::format("<details class=\"flips\"><summary>{}: {} examples</summary>\n<ul>\n",
                       escape_html(model.name), model.examples.size());
    for (const FlipExample& flip : model.examples) out += flip_item(flip);
    out += "</ul></details>\n";
  }
  return out;
}

}  // namespace aquatint::report
