#include <algorithm>
#include <cmath>

#include "plan/candidate.h"
#include "plan/page/parts.h"

namespace aquatint::plan {
namespace {

using base::Json;

Json matrices_of(const Engine& e) {
  Json list = Json::array();
  for (const Matrices& m : e.shape->matrices)
    if (m.part != Part::embedding && m.part != Part::head)
      list.push_back({{"bytes", stored_bytes(e, m) * static_cast<double>(m.count)},
                      {"weights", m.weights()},
                      {"passed", m.passed_weights()},
                      {"quantized", m.quantized()},
                      {"expert", m.part == Part::expert}});
  return list;
}

Json cache_of(const Engine& e) {
  Json list = Json::array();
  for (const CacheLayers& layers : e.shape->cache) {
    Shape one;
    one.cache = {layers};
    const auto count = static_cast<double>(layers.layers);
    list.push_back({{"bytes", cache_bytes_per_token(one, e.choice)},
                    {"window", layers.window},
                    {"macs", count * layers.macs},
                    {"prompt_macs", count * layers.prompt_macs}});
  }
  return list;
}

// What a CPU's blocks reach, measured; null: the rates hold.
Json kernel_json(const KernelSpeed* k) {
  if (!k) return nullptr;
  return {{"bits", k->bits}, {"one_row", k->one_row}, {"eight_rows", k->eight_rows}, {"prompt", k->prompt}};
}

Json engine_json(const Engine& e, const Memory& memory) {
  const Efficiency& share = e.efficiency;
  const Shape& shape = *e.shape;
  const auto cache_cards = static_cast<double>(std::min<int64_t>(e.count, shape.kv_heads));
  const double head = static_cast<double>(shape.vocabulary) * static_cast<double>(shape.hidden);
  return {{"matrices", matrices_of(e)},
          {"experts_share", shape.experts > 0 ? static_cast<double>(shape.experts_per_token) /
                                                    static_cast<double>(shape.experts)
                                              : 1},
          {"weight_rate", e.device->bandwidth * share.weight_bandwidth * e.count},
          {"linear_rate",
           e.run.rate * share.of(e.run.format) * (e.run.dequantized ? share.dequantizing : 1) * e.count},
          {"head_rate", plain_rate(e, share.head)},
          {"head_weights", head},
          {"head_bytes", head * e.choice.plain->bytes()},
          {"cache", cache_of(e)},
          {"cache_rate", e.device->bandwidth * share.cache_bandwidth * cache_cards},
          {"cache_room", memory.cache * cache_cards},
          {"attention_rate", plain_rate(e, share.attention)},
          {"collectives", e.count > 1 ? 2 * shape.layers : 0},
          {"collective_seconds", share.collective_seconds},
          {"token_seconds",
           e.count > 1 ? 2 * static_cast<double>(shape.hidden) / (e.device->link_bandwidth * share.link) : 0},
          {"kernel", kernel_json(share.kernel(shape.name, e.choice.scheme ? e.choice.scheme->name : "BF16"))},
          {"head_kernel", kernel_json(share.kernel(shape.name, "head"))},
          {"step_seconds", share.step_seconds},
          {"sequence_seconds", share.sequence_seconds},
          {"step_tokens", share.step_tokens}};
}

Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(); }

Json candidate_json(const Answer& a, const Candidate& c) {
  Json json = {{"model", a.question.models[c.model].name},
               {"scheme", c.choice.name},
               {"gpu", c.gpu},
               {"count", c.count},
               {"weight_bytes", c.weight_bytes},
               {"memory",
                {{"total", c.memory.total},
                 {"reserve", c.memory.reserve},
                 {"weights", c.memory.weights},
                 {"workspace", c.memory.workspace},
                 {"cache", c.memory.cache},
                 {"cache_per_token", c.memory.cache_per_token}}},
               {"recovery", finite(c.quality.recovery)},
               {"shared", a.question.models[c.model].heads % c.count == 0}};
  const Engine engine = engine_of(a.question, c);
  json["watts"] = engine.device->watts;
  if (c.memory.fits()) json["engine"] = engine_json(engine, c.memory);
  return json;
}

}  // namespace

Json page_data(const Answer& a) {
  const Question& q = a.question;
  Json candidates = Json::array(), gpus = Json::array();
  for (const Candidate& c : a.candidates) candidates.push_back(candidate_json(a, c));
  for (const Device& device : q.devices) gpus.push_back(device.name);
  return {{"candidates", candidates},
          {"gpus", gpus},
          {"many_models", q.models.size() > 1},
          {"question",
           {{"prompt_tokens", q.traffic.prompt_tokens},
            {"generate_tokens", q.traffic.generate_tokens},
            {"rate", q.traffic.requests_per_second},
            {"peak", q.traffic.peak},
            {"ttft", q.limits.first_token},
            {"tpot", q.limits.token},
            {"max_loss", q.max_loss},
            {"budget", q.budget_per_month},
            {"prices", q.prices}}}};
}

}  // namespace aquatint::plan
