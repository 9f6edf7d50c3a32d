#include <cmath>

#include "plan/planner.h"

namespace aquatint::plan {
namespace {

using base::Json;

// Not a number is not JSON: what is not known is null.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(); }

Json to_json(const StepTime& t) {
  return {{"linears", t.linears},
          {"head", t.head},
          {"attention", t.attention},
          {"collectives", t.collectives},
          {"overhead", t.overhead}};
}

Json to_json(const Service& s) {
  if (s.sequences <= 0) return nullptr;
  return {{"sequences", s.sequences}, {"ttft_seconds", s.first_token},
          {"tpot_seconds", s.token},  {"tokens_per_second", s.tokens_per_second},
          {"bound", s.bound},         {"step_seconds", to_json(s.step)}};
}

Json to_json(const Percentiles& p) {
  return {{"mean", p.mean}, {"p50", p.p50}, {"p90", p.p90}, {"p99", p.p99}};
}

Json to_json(const Played& p) {
  return {{"ttft_seconds", to_json(p.first_token)},
          {"tpot_seconds", to_json(p.token)},
          {"tokens_per_second", p.tokens_per_second},
          {"most_sequences", p.most_sequences},
          {"steps", p.steps}};
}

Json to_json(const Memory& m) {
  return {{"total", m.total},           {"reserve", m.reserve}, {"weights", m.weights},
          {"workspace", m.workspace},   {"kv_cache", m.cache},  {"kv_bytes_per_token", m.cache_per_token},
          {"kv_tokens", m.cache_tokens}};
}

Json to_json(const Cost& c) {
  return {{"per_hour", number(c.per_hour)},
          {"per_month", number(c.per_month)},
          {"per_million_tokens", number(c.per_million_tokens)},
          {"watts", number(c.watts)},
          {"joules_per_token", number(c.joules_per_token)}};
}

Json to_json(const Quality& q) {
  return {{"recovery", number(q.recovery)},
          {"low", number(q.low)},
          {"high", number(q.high)},
          {"basis", q.basis},
          {"source", q.source},
          {"note", q.note}};
}

Json to_json(const Effort& e) {
  return {{"method", e.method},
          {"quantize_hours", e.quantize_hours},
          {"evaluate_hours", e.evaluate_hours},
          {"memory_bytes", e.memory_bytes},
          {"price", number(e.price)},
          {"source", e.source}};
}

Json to_json(const Execution& e) {
  return {{"format", e.format}, {"native", e.native}, {"dequantized", e.dequantized}, {"note", e.note}};
}

Json to_json(const Offload& o) {
  return {{"bytes_off", o.bytes_off}, {"tpot_seconds", o.token_seconds}, {"ttft_seconds", o.prefill_seconds}};
}

Json to_json(const std::vector<Miss>& misses) {
  Json list = Json::array();
  for (const Miss& m : misses)
    list.push_back({{"target", m.target},
                    {"is", number(m.is)},
                    {"wanted", number(m.wanted)},
                    {"text", m.text},
                    {"change", m.change}});
  return list;
}

Json to_json(const Question& q) {
  Json models = Json::array(), devices = Json::array(), schemes = Json::array();
  for (const Shape& shape : q.models) models.push_back(plan::to_json(shape));
  for (const Device& device : q.devices) devices.push_back(plan::to_json(device));
  for (const Choice& choice : q.choices) schemes.push_back(choice.name);
  return {{"models", models},
          {"devices", devices},
          {"schemes", schemes},
          {"counts", q.counts},
          {"prompt_tokens", q.traffic.prompt_tokens},
          {"generate_tokens", q.traffic.generate_tokens},
          {"requests_per_second", q.traffic.requests_per_second},
          {"peak", q.traffic.peak},
          {"ttft_seconds", q.limits.first_token},
          {"tpot_seconds", q.limits.token},
          {"max_loss", q.max_loss},
          {"budget_per_month", q.budget_per_month},
          {"prices", q.prices},
          {"efficiency", plan::to_json(q.efficiency)}};
}

Json to_json(const TrainingMemory& t) {
  return {{"mode", t.mode},
          {"weights", t.weights},
          {"gradients", t.gradients},
          {"optimizer", t.optimizer},
          {"activations", t.activations},
          {"total", t.total()},
          {"assumptions", t.assumptions}};
}

}  // namespace

Json to_json(const Candidate& c, const Question& question) {
  return {{"model", question.models[c.model].name},
          {"scheme", c.choice.name},
          {"gpu", c.gpu},
          {"count", c.count},
          {"replicas", c.replicas},
          {"meets", c.meets()},
          {"reason", c.reason},
          {"bound", c.bound},
          {"weight_bytes", c.weight_bytes},
          {"bits_per_weight", c.bits_per_weight},
          {"execution", to_json(c.execution)},
          {"memory", to_json(c.memory)},
          {"most_sequences", c.most_sequences},
          {"longest_context", c.longest_context},
          {"alone", to_json(c.alone)},
          {"at_most", to_json(c.at_most)},
          {"loaded", to_json(c.loaded)},
          {"simulated", c.played ? to_json(*c.played) : Json()},
          {"cost", to_json(c.cost)},
          {"quality", to_json(c.quality)},
          {"effort", to_json(c.effort)},
          {"offload", c.offload ? to_json(*c.offload) : Json()},
          {"misses", to_json(c.misses)}};
}

Json to_json(const Answer& a) {
  Json candidates = Json::array(), warnings = Json::array(), training = Json::array();
  for (const Candidate& c : a.candidates) candidates.push_back(to_json(c, a.question));
  for (const Warning& w : a.warnings) warnings.push_back({{"topic", w.topic}, {"text", w.text}});
  for (const TrainingMemory& t : a.training) training.push_back(to_json(t));
  return {{"question", to_json(a.question)},
          {"candidates", candidates},
          {"pareto", a.pareto},
          {"chosen", a.chosen ? Json(*a.chosen) : Json()},
          {"closest", a.closest},
          {"warnings", warnings},
          {"findings", a.findings},
          {"training", training},
          {"payback_days", number(a.payback_days)}};
}

}  // namespace aquatint::plan
