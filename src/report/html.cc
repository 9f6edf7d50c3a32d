#include "report/html.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "report/comparison.h"
#include "report/html_changes.h"
#include "report/html_parts.h"
#include "report/table.h"

namespace aquatint::report {
namespace {

std::string title(const Study& study) {
  const StudyFacts& f = study.facts;
  std::string facts;
  const auto add = [&](const std::string& text) {
    if (!text.empty()) facts += (facts.empty() ? "" : " · ") + text;
  };
  add(f.parameters > 0 ? format_count(static_cast<double>(f.parameters)) + " parameters" : "");
  add(f.architecture);
  add(f.source_formats.empty() ? f.source_layout : f.source_layout + " " + f.source_formats.front());
  add(f.kernels.empty() ? "" : f.kernels + " kernels");
  add(f.date.substr(0, 10));
  return fmt::format(
      "<header>\n<p class=\"eyebrow\">Quantization study</p>\n<h1>{}</h1>\n<p "
      "class=\"facts\">{}</p>\n</header>\n",
      escape_html(f.model.empty() ? "Unnamed model" : f.model), escape_html(facts));
}

// The chosen scheme's four figures; nothing without a recommendation.
std::string tiles(const Study& study, const Verdict& verdict) {
  if (verdict.chosen < 0) return "";
  const StudyRow &row = study.rows[static_cast<size_t>(verdict.chosen)],
                 &base = study.rows[static_cast<size_t>(verdict.baseline)];
  const Gains gains = gains_over(base, row);
  const std::string of = " of " + row_name(base);
  std::string out;
  if (std::isfinite(gains.size))
    out += page_tile(fmt::format("{:.0f} %", 100 / gains.size),
                     "the size" + of + ": " + format_bytes(size_bytes(row)));
  if (std::isfinite(gains.decode))
    out += page_tile(format_significant(gains.decode, 3) + "×",
                     fmt::format("the generation speed: {:.0f} tokens/s", decode_axis(row, 0).value));
  if (std::isfinite(gains.prefill))
    out += page_tile(format_significant(gains.prefill, 3) + "×",
                     fmt::format("the prompt speed: {:.0f} tokens/s", prefill_axis(row).value));
  const Measured& increase = verdict.losses[static_cast<size_t>(verdict.chosen)].perplexity_increase;
  if (increase.known())
    out += page_tile(
        (increase.value < 0 ? "−" : "+") + format_significant(std::abs(increase.value) * 100, 2) + " %",
        "perplexity over " + row_name(study.rows[static_cast<size_t>(verdict.reference)]));
  return out.empty() ? "" : "<ul class=\"tiles\">\n" + out + "</ul>\n";
}

// A number stays on one line with its unit and its error.
std::string unbroken(std::string html) {
  for (const auto& [from, to] : {std::pair{" %", "&#8239;%"},
                                 {" ± ", " ±&#8239;"},
                                 {" MB", "&nbsp;MB"},
                                 {" GB", "&nbsp;GB"},
                                 {" tokens/s", "&nbsp;tokens/s"}})
    for (size_t at = html.find(from); at != std::string::npos; at = html.find(from, at + std::strlen(to)))
      html.replace(at, std::strlen(from), to);
  return html;
}

std::string verdict_section(const Study& study, const Verdict& verdict) {
  std::string text = unbroken(escape_html(verdict.why));
  if (!verdict.sure.empty()) text += " <b>How sure?</b> " + unbroken(escape_html(verdict.sure));
  if (!verdict.change.empty())
    text += " <b>What would change it?</b> " + unbroken(escape_html(verdict.change));
  return fmt::format(
      "<section class=\"verdict\" aria-labelledby=\"verdict\">\n<h2 "
      "id=\"verdict\">{}</h2>\n<div>\n<p>{}</p>\n{}</div>\n</section>\n",
      escape_html(verdict.headline), text, tiles(study, verdict));
}

constexpr const char* kCharts = R"html(<section aria-labelledby="tradeoff">
<h2 id="tradeoff">Trade-off</h2>
<noscript><p class="aside">The charts need scripts. The tables below hold every figure.</p></noscript>
<div id="charts" hidden>
<p class="controls"><label>Quality as <select id="quality"></select></label>
<label>Speed as <select id="speed"></select></label></p>
<div class="charts">
<figure><div class="plot"><canvas id="by-size" role="img" aria-label="Scatter chart of quality against size; the table below holds the same figures"></canvas></div></figure>
<figure><div class="plot"><canvas id="by-speed" role="img" aria-label="Scatter chart of quality against speed; the table below holds the same figures"></canvas></div></figure>
</div>
<p class="key"><span class="dot pick"></span>recommended <span class="dot front"></span>on the front: nothing is better in both
<span class="dot base"></span>16-bit baseline <span class="dot lost"></span>dominated in this chart. Whiskers are two standard errors.</p>
</div>
</section>
)html";

std::string flip_examples_section(const Study& study) {
  std::vector<NamedFlips> all;
  for (const StudyRow& row : study.rows) all.push_back({row_name(row), row.flips});
  return flips_section(all);
}

std::string notes_list(const Study& study) {
  std::string items;
  for (const std::string& note : honest_notes(study))
    items += fmt::format("<li>{}</li>\n", escape_html(note));
  return items.empty() ? "" : "<ul class=\"notes\">\n" + items + "</ul>\n";
}

std::string scripts(const Study& study, const Verdict& verdict) {
  return fmt::format(
      "<script type=\"application/json\" "
      "id=\"study\">{}</script>\n<script>\n{}\n</script>\n<script>\n{}</script>\n",
      script_safe(study_data_json(study, verdict)), kChartScript, kReportScript);
}

}  // namespace

std::string render_html(const Study& study) {
  const Verdict verdict = decide(study);
  std::string out =
      page_head(study.facts.model + " — quantization study") + title(study) + verdict_section(study, verdict);
  if (!study.rows.empty()) {
    out += kCharts;
    out += page_section("schemes", "Every scheme", "", main_table(study, verdict));
  }
  out += page_section("divergence", "Divergence from the reference", "", divergence_section(study));
  out += page_section("tasks", "Tasks", "", task_table(study, verdict));
  out += page_section("changes", "What changed on the tasks", "", task_changes(study));
  out +=
      page_section("flips", "Answers that changed",
                   "A few items of each task that the reference answers right and the scheme wrong, or the "
                   "other way round.",
                   flip_examples_section(study));
  out += page_section("speed", "Speed by batch", "", speed_table(study, verdict));
  out += page_section("memory", "Where the memory goes", "", memory_section(study));
  out +=
      page_section("layers", "Where the error sits",
                   "Relative error of each quantized linear, ‖ΔW‖² / ‖W‖² weighted as each caption says. One "
                   "logarithmic colour scale for all.",
                   heat_maps(study));
  out += page_section("notes", "Read this before trusting the figures", "", notes_list(study));
  out += page_section("how", "What was run, and how", "", provenance_section(study));
  out += fmt::format(
      "<footer>Aquatint {}. This file needs no network; its figures are also inside it as JSON, in the "
      "element with the id “study”.</footer>\n</main>\n",
      escape_html(study.facts.version));
  if (!study.rows.empty()) out += scripts(study, verdict);
  return out + "</body>\n</html>\n";
}

}  // namespace aquatint::report
