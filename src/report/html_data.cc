#include <cmath>

#include "base/json.h"
#include "base/statistics.h"
#include "report/fields.h"
#include "report/html_parts.h"

namespace aquatint::report {
namespace {

using base::Json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(); }

template <class Value>
Json plain(const Value& value) {
  if constexpr (std::is_floating_point_v<Value>)
    return number(value);
  else
    return Json(value);
}

Json measured(const Measured& m) {
  return {{"value", number(m.value)}, {"stderr", number(m.error)}, {"n", m.n}};
}

Json rate(const std::vector<double>& samples) {
  const base::Summary s = base::summarize(samples);
  return {{"mean", number(s.mean)},
          {"std", number(s.std)},
          {"stderr", number(base::standard_error(samples))},
          {"samples", samples}};
}

Json speed_json(const SpeedResult& s) {
  return {{"batch", s.batch},
          {"prompt_tokens", s.prompt_tokens},
          {"generate_tokens", s.generate_tokens},
          {"prefill_tokens_per_second", rate(s.prefill)},
          {"decode_tokens_per_second", rate(s.decode)},
          {"prefill_joules_per_token", number(s.prefill_joules)},
          {"decode_joules_per_token", number(s.decode_joules)},
          {"bandwidth_utilization", number(s.bandwidth_utilization)},
          {"flop_utilization", number(s.flop_utilization)}};
}

Json provenance_json(const Provenance& p) {
  return {{"model_sha256", p.model_sha256}, {"recipe", p.recipe}, {"seed", p.seed},
          {"version", p.version},           {"cpu", p.cpu},       {"device", p.device},
          {"kernels", p.kernels},           {"date", p.date},     {"command", p.command}};
}

Json row_json(const Study& study, const Verdict& verdict, size_t index) {
  static constexpr const char* kKinds[] = {"reference", "baseline", "candidate"};
  const StudyRow& row = study.rows[index];
  Json json = {{"name", row_name(row)},
               {"scheme", row.scheme},
               {"method", row.method},
               {"layout", row.layout},
               {"kind", kKinds[static_cast<int>(row.kind)]},
               {"group", row.group},
               {"chosen", verdict.chosen == static_cast<int>(index)},
               {"window_nll", row.window_nll},
               {"provenance", provenance_json(row.provenance)}};
  each_number(row, [&](const char* name, const char*, double value) { json[name] = number(value); });
  each_estimate(row,
                [&](const char* name, const char*, const Measured& value) { json[name] = measured(value); });
  json["perplexity_increase"] = measured(verdict.losses[index].perplexity_increase);
  json["speed"] = Json::array();
  for (const SpeedResult& s : row.speed) json["speed"].push_back(speed_json(s));
  json["tasks"] = Json::object();
  for (const TaskResult& task : row.tasks)
    json["tasks"][task.name] = {{"acc,none", number(task.accuracy.value)},
                                {"acc_stderr,none", number(task.accuracy.error)},
                                {"acc_norm,none", number(task.accuracy_norm.value)},
                                {"n", task.accuracy.n}};
  json["memory"] = Json::object();
  for (const MemoryPart& part : row.memory) json["memory"][part.name] = part.bytes;
  json["flips"] = Json::array();
  for (const FlipExample& flip : row.flips)
    json["flips"].push_back({{"task", flip.task},
                             {"line", flip.line},
                             {"lost", flip.lost},
                             {"question", flip.question},
                             {"reference", flip.reference},
                             {"model", flip.model}});
  json["kld_by_position"] = row.kld_by_position;
  json["dominated_by"] = Json::array();
  for (const int other : verdict.dominated_by[index])
    json["dominated_by"].push_back(row_name(study.rows[static_cast<size_t>(other)]));
  return json;
}

}  // namespace

Json study_data_json(const Study& study, const Verdict& verdict) {
  Json json = {{"verdict", {{"headline", verdict.headline}, {"paragraph", verdict.paragraph()}}}};
  each_fact(study.facts, [&](const char* key, const auto& value) { json["facts"][key] = plain(value); });
  for (const auto& peak : study.facts.peak_flop_s)
    json["facts"]["peak_flop_s"][peak.type] = number(peak.flop_s);
  json["rows"] = Json::array();
  for (size_t i = 0; i < study.rows.size(); ++i) json["rows"].push_back(row_json(study, verdict, i));
  return json;
}

}  // namespace aquatint::report
