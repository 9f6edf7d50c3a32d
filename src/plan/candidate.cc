// One combination of model, choice and cards, judged against the question.
#include "plan/candidate.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace aquatint::plan {
namespace {

constexpr double kRounding = 1e-9;  // 1 − 0.99 is no more than 0.01

double price_of(const Question& question, const std::string& gpu) {
  const auto found = question.prices.find(gpu);
  return found == question.prices.end() ? NAN : found->second;
}

const Efficiency& efficiency_of(const Question& question, const std::string& gpu) {
  const auto found = question.measured.find(gpu);
  return found == question.measured.end() ? question.efficiency : found->second;
}

// Engines that share the load, and what each of them sees of it.
void share_load(const Question& question, const Engine& engine, Candidate& c) {
  const double wanted = question.traffic.requests_per_second * question.traffic.peak;
  const double carried = c.at_most.tokens_per_second / question.traffic.generate_tokens;
  c.loaded = c.at_most;
  if (wanted <= 0 || carried <= 0) return;
  c.replicas = static_cast<int>(std::min(1e6, std::ceil(wanted / carried * (1 - kRounding))));
  const Service service = at_rate(engine, c.memory, question.traffic, wanted / c.replicas);
  if (service.sequences > 0) c.loaded = service;
}

void serve(const Question& question, const Engine& engine, Candidate& c) {
  c.most_sequences = most_sequences(engine, c.memory, question.traffic.context());
  c.longest_context = longest_context(engine, c.memory);
  c.alone = alone(engine, question.traffic);
  if (c.most_sequences < 1) return;
  c.at_most = at_most(engine, c.memory, question.traffic, question.limits);
  // Where nothing meets the limits, what is carried without them shows how far off it is.
  if (c.at_most.sequences == 0) c.at_most = at_most(engine, c.memory, question.traffic, {});
  share_load(question, engine, c);
}

void miss(Candidate& c, const char* target, double is, double wanted, std::string text) {
  c.misses.push_back({target, is, wanted, std::move(text), ""});
}

void judge_memory(const Question& question, Candidate& c) {
  const double needed = c.memory.weights + c.memory.workspace + c.memory.reserve +
                        c.memory.cache_per_token * question.traffic.context();
  if (!c.memory.fits())
    miss(c, "memory", needed, c.memory.total,
         fmt::format("weights of {:.1f} GB a card, {:.1f} GB of workspace and {:.1f} GB left free do not fit "
                     "{:.1f} GB",
                     c.memory.weights * 1e-9, c.memory.workspace * 1e-9, c.memory.reserve * 1e-9,
                     c.memory.total * 1e-9));
  else if (c.most_sequences < 1)
    miss(c, "memory", needed, c.memory.total,
         fmt::format(
             "one sequence of {:.0f} tokens does not fit beside the weights: {:.2f} GB a card are left",
             question.traffic.context(), c.memory.cache * 1e-9));
}

void judge_latency(const Question& question, Candidate& c) {
  const Limits& limits = question.limits;
  if (c.most_sequences < 1) return;
  if (limits.token > 0 && c.loaded.token > limits.token)
    miss(c, "tpot", c.loaded.token, limits.token,
         fmt::format("TPOT {:.0f} ms, wanted {:.0f} ms", c.loaded.token * 1e3, limits.token * 1e3));
  if (limits.first_token > 0 && c.loaded.first_token > limits.first_token)
    miss(c, "ttft", c.loaded.first_token, limits.first_token,
         fmt::format("TTFT {:.0f} ms, wanted {:.0f} ms", c.loaded.first_token * 1e3,
                     limits.first_token * 1e3));
}

void judge_quality(const Question& question, Candidate& c) {
  const double loss = c.quality.loss();
  if (std::isnan(loss))
    miss(c, "quality", NAN, question.max_loss, "what it loses is not known; a study would say");
  else if (loss > question.max_loss + kRounding)
    miss(c, "quality", loss, question.max_loss,
         fmt::format("loses {:.1f} % of quality, wanted at most {:.1f} %", loss * 100,
                     question.max_loss * 100));
}

void judge_cost(const Question& question, Candidate& c) {
  if (question.budget_per_month > 0 && c.cost.per_month > question.budget_per_month)
    miss(c, "budget", c.cost.per_month, question.budget_per_month,
         fmt::format("costs {:.0f} a month, wanted at most {:.0f}", c.cost.per_month,
                     question.budget_per_month));
}

void judge_sharing(const Shape& shape, Candidate& c) {
  if (shape.heads % c.count != 0)
    miss(c, "layout", c.count, static_cast<double>(shape.heads),
         fmt::format("{} heads cannot be shared out among {} cards", shape.heads, c.count));
}

}  // namespace

Engine engine_of(const Question& question, const Candidate& candidate) {
  const auto device = std::ranges::find(question.devices, candidate.gpu, &Device::name);
  AQ_CHECK(device != question.devices.end());
  return make_engine(question.models[candidate.model], candidate.choice, *device, candidate.count,
                     efficiency_of(question, candidate.gpu));
}

Candidate judge(const Question& question, size_t model, const Choice& choice, const Device& device,
                int count) {
  const Shape& shape = question.models[model];
  const double price = price_of(question, device.name);
  Candidate c;
  c.model = model;
  c.choice = choice;
  c.gpu = device.name;
  c.count = count;
  const Engine engine = engine_of(question, c);
  c.execution = engine.run;
  c.memory = memory_of(engine);
  c.weight_bytes = weight_bytes(shape, choice);
  c.bits_per_weight = bits_per_weight(shape, choice);
  c.quality = expected_quality(
      shape, choice, question.study && question.study_model == shape.name ? question.study : nullptr);
  c.effort = effort_of(shape, choice, device, price, engine.efficiency);
  if (c.memory.fits())
    serve(question, engine, c);
  else
    c.offload =
        with_host_memory(engine, c.memory, question.traffic.prompt_tokens, question.traffic.context());
  const double asked = question.traffic.requests_per_second * question.traffic.generate_tokens;
  c.cost = cost_of(device, c.count * c.replicas, price, asked > 0 ? asked : c.loaded.tokens_per_second);
  c.bound = c.most_sequences < 1 ? "memory" : c.loaded.bound;
  judge_memory(question, c);
  judge_sharing(shape, c);
  judge_latency(question, c);
  judge_quality(question, c);
  judge_cost(question, c);
  return c;
}

}  // namespace aquatint::plan
