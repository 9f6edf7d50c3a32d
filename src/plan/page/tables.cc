#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "plan/page/parts.h"
#include "report/page.h"
#include "report/table.h"

namespace aquatint::plan {
namespace {

using report::escape_html, report::format_bytes, report::format_significant;

std::string number(const std::string& text) { return fmt::format("<td class=\"num\">{}</td>", text); }

std::string milliseconds(double seconds) {
  return seconds > 0 ? format_significant(seconds * 1e3, 3) : "<span class=\"none\">–</span>";
}

std::string money(double value) {
  return std::isfinite(value) ? format_significant(value, value < 10 ? 2 : 4)
                              : "<span class=\"none\">–</span>";
}

std::string quality(const Quality& q) {
  if (std::isnan(q.recovery)) return "<span class=\"none\">unknown</span>";
  if (q.basis == "exact") return "100";
  return fmt::format("{:.1f}<small>{:.0f}–{:.0f}</small>", q.recovery * 100, q.low * 100, q.high * 100);
}

std::string badge(const Answer& a, size_t index) {
  if (a.chosen == index) return "<span class=\"badge pick\">chosen</span>";
  if (!a.candidates[index].meets()) return "<span class=\"badge lost\">misses</span>";
  if (std::ranges::find(a.pareto, index) != a.pareto.end())
    return "<span class=\"badge front\">on the front</span>";
  return "";
}

std::string model_note(const Answer& a, const Candidate& c) {
  return a.question.models.size() > 1 ? escape_html(a.question.models[c.model].name) + ", " : "";
}

std::string table_row(const Answer& a, size_t index, bool load) {
  const Candidate& c = a.candidates[index];
  std::string row =
      fmt::format("<tr class=\"{}\"><th scope=\"row\"><b>{}</b><small>{}{}</small>{}</th>",
                  a.chosen == index ? "pick"
                  : c.meets()       ? ""
                                    : "lost",
                  escape_html(c.choice.name), model_note(a, c), escape_html(cards_of(c)), badge(a, index));
  row += number(format_bytes(c.weight_bytes));
  row += number(c.most_sequences >= 1 ? fmt::format("{:.0f}", c.most_sequences) : "none");
  row += number(milliseconds(c.loaded.first_token)) + number(milliseconds(c.loaded.token));
  row +=
      number(c.at_most.sequences > 0 ? fmt::format("{:.0f}", c.at_most.tokens_per_second * c.replicas) : "–");
  row += number(quality(c.quality));
  row += number(money(load ? c.cost.per_month : c.cost.per_million_tokens)) +
         number(money(c.cost.joules_per_token));
  return row + fmt::format("<td class=\"why\">{}</td></tr>\n", escape_html(c.reason));
}

double share(double part, const Memory& m) { return std::max(0.0, part) / m.total * 100; }

std::string bar(const Candidate& c) {
  const Memory& m = c.memory;
  const std::string text =
      fmt::format("weights {}, keys and values {}, workspace {}, left free {}", format_bytes(m.weights),
                  format_bytes(std::max(0.0, m.cache)), format_bytes(m.workspace), format_bytes(m.reserve));
  std::string parts;
  for (const auto& [name, bytes] :
       {std::pair{"weights", m.weights}, {"cache", m.cache}, {"work", m.workspace}, {"free", m.reserve}})
    parts += fmt::format("<i class=\"{}\" style=\"width:{:.2f}%\"></i>", name, share(bytes, m));
  return fmt::format(
      "<li><span><b>{}</b> {}</span><span class=\"stack\" role=\"img\" aria-label=\"{}\">{}</span>"
      "<small>{}</small></li>\n",
      escape_html(c.choice.name), escape_html(c.count > 1 ? fmt::format("{} x {}", c.count, c.gpu) : c.gpu),
      text, parts, text);
}

}  // namespace

std::string cards_of(const Candidate& c) {
  const std::string one = fmt::format("{} x {}", c.count, c.gpu);
  return c.replicas > 1 ? fmt::format("{} · ({})", c.replicas, one) : one;
}

std::string candidate_table(const Answer& a, size_t rows) {
  const bool load = a.question.traffic.requests_per_second > 0;
  std::string text =
      report::open_table(
          "Predicted; times are those under the load, or at the most that is carried where there is none.") +
      "<thead><tr>" + report::column("Scheme and cards", false);
  for (const char* name : {"Weights", "Requests that fit", "TTFT, ms", "TPOT, ms", "Tokens/s at most",
                           "Quality, %", load ? "Cost a month" : "Cost per 10⁶ tokens", "J a token"})
    text += report::column(name);
  text += report::column("Why it stands here", false) + "</tr></thead>\n<tbody id=\"rows\">\n";
  for (size_t i = 0; i < std::min(rows, a.candidates.size()); ++i) text += table_row(a, i, load);
  return text + report::kCloseTable;
}

std::string memory_bars(const Answer& a, size_t rows) {
  std::string items;
  size_t shown = 0;
  for (const Candidate& c : a.candidates)
    if (c.memory.fits() && shown++ < rows) items += bar(c);
  if (items.empty()) return "";
  return "<p class=\"key\"><i class=\"weights\"></i>weights <i class=\"cache\"></i>room for keys and values "
         "<i class=\"work\"></i>workspace <i class=\"free\"></i>left free</p>\n<ul class=\"bars\">\n" +
         items + "</ul>\n";
}

std::string change_list(const Answer& a, size_t rows) {
  std::string items;
  std::set<std::pair<std::string, std::string>> said;  // of a scheme and a target the nearest miss is enough
  for (const Candidate& c : a.candidates)
    for (const Miss& m : c.misses)
      if (!m.change.empty() && said.size() < rows && said.emplace(c.choice.name, m.target).second)
        items += fmt::format("<li><b>{} on {}</b>: {}. {}.</li>\n", escape_html(c.choice.name),
                             escape_html(cards_of(c)), escape_html(m.text), escape_html(m.change));
  return items.empty() ? "" : "<ul class=\"notes\">\n" + items + "</ul>\n";
}

std::string training_table(const Answer& a) {
  std::string text = report::open_table("Of the first model, all cards together.") + "<thead><tr>" +
                     report::column("Training", false);
  for (const char* name : {"Together", "Weights", "Gradients", "Optimizer", "Activations"})
    text += report::column(name);
  text += report::column("Assumed", false) + "</tr></thead>\n<tbody>\n";
  for (const TrainingMemory& t : a.training)
    text += fmt::format("<tr><th scope=\"row\"><b>{}</b></th>{}{}{}{}{}<td class=\"why\">{}</td></tr>\n",
                        t.mode, number(format_bytes(t.total())), number(format_bytes(t.weights)),
                        number(format_bytes(t.gradients)), number(format_bytes(t.optimizer)),
                        number(format_bytes(t.activations)), escape_html(t.assumptions));
  return text + report::kCloseTable;
}

}  // namespace aquatint::plan
