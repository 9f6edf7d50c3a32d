#include "plan/page.h"

#include <fmt/format.h>

#include <cmath>

#include "base/machine.h"
#include "plan/data.h"
#include "plan/handover.h"
#include "plan/page/parts.h"
#include "report/page.h"
#include "report/table.h"

namespace aquatint::plan {
namespace {

using report::escape_html, report::format_significant, report::page_section, report::page_tile;

constexpr size_t kRows = 24, kBars = 8, kChanges = 12;

std::string name_of(const Answer& a) {
  std::string names;
  for (const Shape& shape : a.question.models) names += (names.empty() ? "" : ", ") + shape.name;
  return names;
}

std::string title(const Answer& a) {
  const Traffic& t = a.question.traffic;
  std::string facts = fmt::format("{:.0f} tokens in, {:.0f} out", t.prompt_tokens, t.generate_tokens);
  if (t.requests_per_second > 0)
    facts += fmt::format(
        " · {} requests/s{}", format_significant(t.requests_per_second, 3),
        t.peak > 1 ? fmt::format(", {} at peak", format_significant(t.requests_per_second * t.peak, 3)) : "");
  if (a.question.models.size() == 1)
    facts += fmt::format(" · {:.1f} B parameters", a.question.models[0].parameters() * 1e-9);
  return fmt::format(
      "<header>\n<p class=\"eyebrow\">Quantization plan</p>\n<h1>{}</h1>\n<p "
      "class=\"facts\">{}</p>\n</header>\n",
      escape_html(name_of(a)), escape_html(facts));
}

std::string tiles(const Answer& a, const Candidate& c) {
  std::string out = page_tile(fmt::format("{} ms", format_significant(c.loaded.token * 1e3, 3)),
                              "a token, under the load") +
                    page_tile(fmt::format("{} ms", format_significant(c.loaded.first_token * 1e3, 3)),
                              "to the first token");
  if (std::isfinite(c.quality.recovery))
    out += page_tile(fmt::format("{:.1f} %", c.quality.recovery * 100), "of the 16-bit quality expected");
  const bool load = a.question.traffic.requests_per_second > 0;
  const double cost = load ? c.cost.per_month : c.cost.per_million_tokens;
  if (std::isfinite(cost))
    out += page_tile(format_significant(cost, 4), load ? "cost a month" : "cost of a million tokens");
  return "<ul class=\"tiles\">\n" + out + "</ul>\n";
}

std::string verdict(const Answer& a) {
  std::string headline = "Nothing meets every target", text = a.closest, figures;
  if (a.chosen) {
    const Candidate& c = a.candidates[*a.chosen];
    headline = fmt::format("{} on {}", c.choice.name, cards_of(c));
    text = fmt::format("It {}. Quality: {}. Predictions are within about {:.0f} %.", c.reason,
                       c.quality.source, a.question.efficiency.band * 100);
    figures = tiles(a, c);
  }
  return fmt::format(
      "<section class=\"verdict\" aria-labelledby=\"verdict\">\n<h2 "
      "id=\"verdict\">{}</h2>\n<div>\n<p>{}</p>\n"
      "{}</div>\n</section>\n",
      escape_html(headline), escape_html(text), figures);
}

constexpr const char* kWhatIf = R"html(<section aria-labelledby="what-if">
<h2 id="what-if">What if</h2>
<noscript><p class="aside">The sliders need scripts. The tables below hold every figure of the plan.</p></noscript>
<div id="live" hidden>
<div id="sliders"></div>
<p id="now" class="now" role="status"></p>
<p class="controls"><label>Across <select id="across"></select></label><button id="reset" type="button">As planned</button></p>
<figure><div class="plot"><canvas id="chart" role="img" aria-label="Scatter chart of quality loss; the table below holds the same figures"></canvas></div></figure>
<p class="key"><span class="dot pick"></span>best <span class="dot front"></span>meets every target, on the front
<span class="dot base"></span>meets every target <span class="dot"></span>misses one</p>
</div>
</section>
)html";

std::string list(const std::vector<std::string>& texts) {
  std::string items;
  for (const std::string& text : texts) items += fmt::format("<li>{}</li>\n", escape_html(text));
  return items.empty() ? "" : "<ul class=\"notes\">\n" + items + "</ul>\n";
}

std::string warnings(const Answer& a) {
  std::string items;
  for (const Warning& w : a.warnings)
    items += fmt::format("<li><b>{}</b>: {}</li>\n", escape_html(w.topic), escape_html(w.text));
  return items.empty() ? "" : "<ul class=\"notes\">\n" + items + "</ul>\n";
}

std::string handover(const Answer& a) {
  if (!a.chosen) return "";
  const Candidate& c = a.candidates[*a.chosen];
  std::string text = "<pre><code>" + escape_html(commands(c, a.question.models[c.model].name, "plan.yaml")) +
                     "</code></pre>\n";
  if (c.choice.quantized())
    text = "<p class=\"aside\">plan.yaml:</p>\n<pre><code>" + escape_html(recipe_yaml(c, a.question)) +
           "</code></pre>\n" + text;
  return text;
}

std::string scripts(const Answer& a) {
  return fmt::format(
      "<script type=\"application/json\" id=\"plan\">{}</script>\n<script>\n{}\n</script>\n"
      "<script>\n{}</script>\n<script>\n{}</script>\n",
      report::script_safe(page_data(a)), report::kChartScript, kModelScript, kPageScript);
}

}  // namespace

std::string as_page(const Answer& a) {
  std::string out = report::page_head(name_of(a) + " — quantization plan", kPageStyle) + "<main>\n" +
                    title(a) + verdict(a) + kWhatIf;
  out += page_section("schemes", "Ranked",
                      "Those that meet everything first, at the least cost; then by how little they miss.",
                      candidate_table(a, kRows));
  out += page_section("memory", "Memory of a card", "", memory_bars(a, kBars));
  out += page_section("changes", "What would have to change", "", change_list(a, kChanges));
  out += page_section("warnings", "Common mistakes", "", warnings(a));
  out += page_section("findings", "What stands out", "", list(a.findings));
  out += page_section("training", "Memory to train it", "", training_table(a));
  out += page_section("next", "Next", "", handover(a));
  out += fmt::format("<footer>Aquatint {}. This file needs no network. Efficiencies: {}.</footer>\n</main>\n",
                     escape_html(base::version()), escape_html(a.question.efficiency.source));
  return out + scripts(a) + "</body>\n</html>\n";
}

}  // namespace aquatint::plan
