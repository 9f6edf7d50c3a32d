#include "cli/study_result.h"

#include <cmath>

#include "base/error.h"
#include "report/table.h"
#include "report/verdict.h"

namespace aquatint::cli {
namespace {

base::Json number(double value) { return std::isfinite(value) ? base::Json(value) : base::Json(); }

base::Json measured(const report::Measured& m) {
  return {{"value", number(m.value)}, {"stderr", number(m.error)}, {"n", m.n}};
}

base::Json speed_json(const report::SpeedResult& s) {
  return {{"batch", s.batch},
          {"prompt_tokens", s.prompt_tokens},
          {"generate_tokens", s.generate_tokens},
          {"prefill_tokens_per_second", s.prefill},
          {"decode_tokens_per_second", s.decode},
          {"prefill_joules_per_token", number(s.prefill_joules)},
          {"decode_joules_per_token", number(s.decode_joules)},
          {"bandwidth_utilization", number(s.bandwidth_utilization)},
          {"flop_utilization", number(s.flop_utilization)}};
}

base::Json row_json(const report::StudyRow& row) {
  base::Json j = {{"scheme", row.scheme},
                  {"method", row.method},
                  {"layout", row.layout},
                  {"group", row.group},
                  {"bits_per_weight", number(row.bits_per_weight)},
                  {"bits_per_parameter", number(row.bits_per_parameter)},
                  {"file_bytes", number(row.file_bytes)},
                  {"weight_bytes", number(row.weight_bytes)},
                  {"peak_ram_bytes", number(row.peak_ram_bytes)},
                  {"quantize_seconds", number(row.quantize_seconds)},
                  {"perplexity", measured(row.perplexity)},
                  {"mean_kld", measured(row.mean_kld)},
                  {"p99_kld", number(row.p99_kld)},
                  {"same_top1", number(row.same_top1)},
                  {"runs", base::Json::array()},
                  {"tasks", base::Json::object()},
                  {"notes", row.notes}};
  for (const report::SpeedResult& s : row.speed) j["runs"].push_back(speed_json(s));
  for (const report::TaskResult& t : row.tasks)
    j["tasks"][t.name] = {{"acc,none", number(t.accuracy.value)},
                          {"acc_stderr,none", number(t.accuracy.error)},
                          {"acc_norm,none", number(t.accuracy_norm.value)},
                          {"n", t.accuracy.n}};
  return j;
}

}  // namespace

std::string study_text(const report::Study& study) {
  const report::Verdict verdict = report::decide(study);
  return report::study_table(study).text() + "\n" + verdict.headline + "\n" + verdict.paragraph() + "\n";
}

base::Json study_json(const report::Study& study) {
  const report::Verdict verdict = report::decide(study);
  base::Json rows = base::Json::array();
  for (const report::StudyRow& row : study.rows) rows.push_back(row_json(row));
  return {{"model", study.facts.model},
          {"model_sha256", study.facts.model_sha256},
          {"verdict", verdict.headline + " " + verdict.paragraph()},
          {"chosen", verdict.chosen < 0 ? base::Json() : base::Json(study.rows[verdict.chosen].scheme)},
          {"rows", rows}};
}

double parse_share(const std::string& text) {
  size_t end = 0;
  double value = -1;
  try {
    value = std::stod(text, &end);
  } catch (const std::exception&) {
  }
  const bool percent = end + 1 == text.size() && text[end] == '%';
  if (!(value >= 0) || !(percent || end == text.size()))
    throw base::BadUsage(fmt::format("\"{}\" is no share; expected such as 1% or 0.01", text));
  return percent ? value / 100 : value;
}

}  // namespace aquatint::cli
