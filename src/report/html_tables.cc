#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/statistics.h"
#include "report/html_parts.h"
#include "report/table.h"

namespace aquatint::report {
namespace {

std::string cell(double value, const std::string& text, const std::string& note = "") {
  if (!std::isfinite(value)) return kBlankCell;
  const std::string small = note.empty() ? "" : fmt::format("<small>{}</small>", note);
  return fmt::format("<td class=\"num\">{}{}</td>", text, small);
}

std::string plus_minus(double error, int decimals) {
  return std::isfinite(error) ? fmt::format("±&#8239;{:.{}f}", error, decimals) : "";
}

// Value and error with the error's two leading digits deciding the decimals.
std::string estimate(const Measured& m, int digits) {
  if (!m.known()) return kBlankCell;
  const std::string error = std::isfinite(m.error) ? "±&#8239;" + format_significant(m.error, 2) : "";
  return cell(m.value, format_significant(m.value, digits), error);
}

std::string rate_cell(const std::vector<double>& samples) {
  const base::Summary s = base::summarize(samples);
  const int decimals = s.mean < 99.95 ? 1 : 0;
  return cell(s.mean, fmt::format("{:.{}f}", s.mean, decimals), plus_minus(s.std, decimals));
}

std::string signed_text(double value, int digits, const char* unit) {
  return (value < 0 ? "−" : "+") + format_significant(std::abs(value), digits) + unit;
}

std::string increase_cell(const Measured& increase, bool reference) {
  if (reference) return "<td class=\"num\"><span class=\"none\">reference</span></td>";
  if (!increase.known()) return kBlankCell;
  const std::string error =
      std::isfinite(increase.error) ? "±&#8239;" + format_significant(increase.error * 100, 2) : "";
  return cell(increase.value, signed_text(increase.value * 100, 2, "&#8239;%"), error);
}

std::string badge(const Study& study, const Verdict& verdict, int row) {
  if (row == verdict.chosen) return "<span class=\"badge pick\">recommended</span>";
  const StudyRow& r = study.rows[static_cast<size_t>(row)];
  if (r.kind == RowKind::reference) return "<span class=\"badge\">reference</span>";
  const auto& better = verdict.dominated_by[static_cast<size_t>(row)];
  if (better.empty()) return "<span class=\"badge front\">on the front</span>";
  return fmt::format("<span class=\"badge lost\">dominated by {}</span>",
                     escape_html(row_name(study.rows[static_cast<size_t>(better.front())])));
}

std::string row_class(const Verdict& verdict, int row) {
  if (row == verdict.chosen) return " class=\"pick\"";
  return verdict.dominated_by[static_cast<size_t>(row)].empty() ? "" : " class=\"lost\"";
}

std::string scheme_header(const Study& study, const Verdict& verdict, int row, bool badged) {
  const StudyRow& r = study.rows[static_cast<size_t>(row)];
  std::string how = r.method;
  if (!r.layout.empty()) how += (how.empty() ? "" : " · ") + r.layout;
  if (r.group > 0) how += fmt::format(" · groups of {}", r.group);
  std::string out = fmt::format("<th scope=\"row\"><b>{}</b>", escape_html(r.scheme));
  if (badged) out += fmt::format("<small>{}</small>{}", escape_html(how), badge(study, verdict, row));
  return out + "</th>";
}

std::string main_row(const Study& study, const Verdict& verdict, int index) {
  const StudyRow& r = study.rows[static_cast<size_t>(index)];
  const bool reference = index == verdict.reference;
  const SpeedResult* speed = single_speed(r);
  static const std::vector<double> kNone;
  std::string out =
      fmt::format("<tr{}>{}", row_class(verdict, index), scheme_header(study, verdict, index, true));
  out += cell(r.file_bytes, format_bytes(r.file_bytes));
  out += cell(r.bits_per_weight, fmt::format("{:.2f}", r.bits_per_weight));
  out += cell(r.bits_per_parameter, fmt::format("{:.2f}", r.bits_per_parameter));
  out += estimate(r.perplexity, 5);
  out += increase_cell(verdict.losses[static_cast<size_t>(index)].perplexity_increase, reference);
  out += reference ? "<td class=\"num\">0</td>" : estimate(r.mean_kld, 3);
  out += reference ? "<td class=\"num\">0</td>" : cell(r.p99_kld, format_significant(r.p99_kld, 2));
  out += reference ? "<td class=\"num\">100&#8239;%</td>"
                   : cell(r.same_top1, fmt::format("{:.1f}&#8239;%", r.same_top1 * 100));
  out += rate_cell(speed ? speed->prefill : kNone);
  out += rate_cell(speed ? speed->decode : kNone);
  out += cell(r.peak_ram_bytes, format_bytes(r.peak_ram_bytes),
              std::isfinite(r.weight_bytes) ? "weights " + format_bytes(r.weight_bytes) : "");
  return out + "</tr>\n";
}

const TaskResult* find_task(const StudyRow& row, const std::string& name) {
  for (const TaskResult& task : row.tasks)
    if (task.name == name) return &task;
  return nullptr;
}

std::string task_cell(const TaskResult* task) {
  if (!task || !task->accuracy.known()) return kBlankCell;
  const Measured& acc = task->accuracy;
  std::string note = plus_minus(acc.error * 100, 1);
  if (task->accuracy_norm.known()) note += fmt::format(" · norm {:.1f}", task->accuracy_norm.value * 100);
  return cell(acc.value, fmt::format("{:.1f}", acc.value * 100), note);
}

std::string loss_cell(const Loss& loss, bool reference) {
  if (reference) return "<td class=\"num\"><span class=\"none\">reference</span></td>";
  if (!loss.accuracy_change.known()) return kBlankCell;
  const Measured& change = loss.accuracy_change;
  const std::string text = signed_text(change.value * 100, 2, "");
  const std::string note =
      std::isfinite(change.error) ? "±&#8239;" + format_significant(change.error * 100, 2) : "";
  const char* mark = loss.accuracy_significant ? " class=\"num clear\"" : " class=\"num\"";
  return fmt::format("<td{}>{}<small>{}</small></td>", mark, text, note);
}

}  // namespace

std::string main_table(const Study& study, const Verdict& verdict) {
  const SpeedResult* speed = nullptr;
  for (const StudyRow& row : study.rows)
    if (!speed) speed = single_speed(row);
  const std::string load = speed ? fmt::format(" Speed: {} prompt and {} generated tokens, batch {}.",
                                               speed->prompt_tokens, speed->generate_tokens, speed->batch)
                                 : "";
  const bool paired =
      std::any_of(verdict.losses.begin(), verdict.losses.end(), [](const Loss& l) { return l.paired; });
  std::string out = open_table(fmt::format(
      "± is one standard error for quality and one standard deviation of the repeats for speed.{}{}",
      paired ? " The increase over the reference is paired window by window." : "", load));
  out +=
      "<thead><tr><td></td><th scope=\"colgroup\" colspan=\"3\">Size</th><th scope=\"colgroup\" "
      "colspan=\"5\">Quality</th>"
      "<th scope=\"colgroup\" colspan=\"2\">Speed, tokens/s</th><th scope=\"col\" "
      "class=\"num\">Memory</th></tr>\n"
      "<tr><th scope=\"col\">Scheme</th>";
  for (const char* title :
       {"File", "Bits per weight", "Bits per parameter", "Perplexity", "Increase", "Mean KLD, nats",
        "99th percentile", "Same top token", "Prefill", "Decode", "Peak RAM"})
    out += fmt::format("<th scope=\"col\" class=\"num\">{}</th>", title);
  out += "</tr></thead>\n<tbody>\n";
  for (size_t i = 0; i < study.rows.size(); ++i) out += main_row(study, verdict, static_cast<int>(i));
  return out + kCloseTable;
}

bool knows_energy(const Study& study) {
  for (const StudyRow& row : study.rows)
    for (const SpeedResult& s : row.speed)
      if (std::isfinite(s.prefill_joules) || std::isfinite(s.decode_joules)) return true;
  return false;
}

std::string speed_table(const Study& study, const Verdict& verdict) {
  std::string body;
  const bool energy = knows_energy(study);
  for (size_t i = 0; i < study.rows.size(); ++i) {
    bool first = true;
    const StudyRow& row = study.rows[i];
    for (const SpeedResult& s : row.speed) {
      body += fmt::format("<tr{}{}>", row_class(verdict, static_cast<int>(i)), first ? " data-first" : "");
      if (first)
        body += fmt::format("<th scope=\"rowgroup\" rowspan=\"{}\"><b>{}</b></th>", row.speed.size(),
                            escape_html(row_name(row)));
      first = false;
      body += fmt::format("<td class=\"num\">{}</td>", s.batch) + rate_cell(s.prefill) + rate_cell(s.decode);
      const base::Summary decode = base::summarize(s.decode);
      body += cell(decode.mean, format_seconds(s.batch / decode.mean));
      body += cell(s.bandwidth_utilization, fmt::format("{:.0f}&#8239;%", s.bandwidth_utilization * 100));
      body += cell(s.flop_utilization, fmt::format("{:.0f}&#8239;%", s.flop_utilization * 100));
      if (energy)
        for (const double joules : {s.prefill_joules, s.decode_joules})
          body += cell(joules, format_significant(joules, 3));
      body += "</tr>\n";
    }
  }
  if (body.empty()) return "";
  std::string out = open_table(
      "Rates count the tokens of all sequences of the batch. Bandwidth: weight bytes read by decode against "
      "the measured "
      "read bandwidth. Arithmetic: 2 · parameters · prefill rate against the measured peak of the type it "
      "multiplies in." +
          std::string(energy ? " Energy: what the processors and their memory drew, whatever else ran." : ""),
      "flat");
  out += "<thead><tr><th scope=\"col\">Scheme</th>";
  std::vector<std::string> titles = {"Batch",          "Prefill, tokens/s", "Decode, tokens/s",
                                     "Time per token", "Bandwidth used",    "Arithmetic used"};
  if (energy) titles.insert(titles.end(), {"Prefill, J per token", "Decode, J per token"});
  for (const std::string& title : titles)
    out += fmt::format("<th scope=\"col\" class=\"num{}\">{}</th>",
                       title.ends_with("tokens/s") ? " rate" : "", title);
  return out + "</tr></thead>\n<tbody>\n" + body + kCloseTable;
}

std::string task_table(const Study& study, const Verdict& verdict) {
  std::vector<std::string> names;
  for (const StudyRow& row : study.rows)
    for (const TaskResult& task : row.tasks)
      if (std::find(names.begin(), names.end(), task.name) == names.end()) names.push_back(task.name);
  if (names.empty()) return "";
  std::string out = open_table(
      "Accuracy in percent ± one standard error (norm: by length-normalized likelihood). The change is the "
      "mean over "
      "tasks against the reference, paired item by item; it is bold where it exceeds two standard errors.");
  out += "<thead><tr><th scope=\"col\">Scheme</th>";
  for (const std::string& name : names)
    out += fmt::format("<th scope=\"col\" class=\"num\">{}</th>", escape_html(name));
  out += "<th scope=\"col\" class=\"num\">Mean change, points</th></tr></thead>\n<tbody>\n";
  for (size_t i = 0; i < study.rows.size(); ++i) {
    const int index = static_cast<int>(i);
    out += fmt::format("<tr{}>{}", row_class(verdict, index), scheme_header(study, verdict, index, false));
    for (const std::string& name : names) out += task_cell(find_task(study.rows[i], name));
    out += loss_cell(verdict.losses[i], index == verdict.reference) + "</tr>\n";
  }
  return out + kCloseTable;
}

}  // namespace aquatint::report
