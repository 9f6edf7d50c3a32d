#include "plan/planner.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "plan/candidate.h"

namespace aquatint::plan {
namespace {

constexpr size_t kPlayed = 8;          // candidates that are simulated
constexpr double kPlayedTokens = 2e5;  // generated in each simulation, about

// Some choices have groups that divide no width of some model.
bool can_quantize(const Shape& shape, const Choice& choice, std::vector<std::string>& findings) {
  try {
    static_cast<void>(group_of(shape, choice));
    return true;
  } catch (const base::BadUsage& e) {
    findings.push_back(fmt::format("{} is left out for {}: {}", choice.name, shape.name, e.what()));
    return false;
  }
}

std::vector<Candidate> judge_all(const Question& question, std::vector<std::string>& findings) {
  std::vector<Candidate> all;
  for (size_t model = 0; model < question.models.size(); ++model)
    for (const Choice& choice : question.choices) {
      if (!can_quantize(question.models[model], choice, findings)) continue;
      for (const Device& device : question.devices)
        for (const int count : question.counts)
          if (count <= device.most) all.push_back(judge(question, model, choice, device, count));
    }
  return all;
}

void play(const Question& question, std::vector<Candidate>& candidates) {
  const double wanted = question.traffic.requests_per_second * question.traffic.peak;
  size_t left = kPlayed;
  for (Candidate& c : candidates) {
    if (left == 0) return;
    if (c.most_sequences < 1) continue;
    --left;
    const Engine engine = engine_of(question, c);
    // At most, as many at once as the limits let in.
    c.played = simulate(engine, c.memory, question.traffic,
                        {.requests_per_second = wanted / c.replicas,
                         .requests = std::max<int64_t>(
                             50, static_cast<int64_t>(kPlayedTokens / question.traffic.generate_tokens)),
                         .most_tokens = engine.efficiency.step_tokens,
                         .most_sequences = wanted > 0 ? 0 : c.at_most.sequences});
  }
}

std::string closest_text(const Question& question, const std::vector<Candidate>& candidates) {
  if (candidates.empty() || candidates.front().meets()) return "";
  const Candidate& c = candidates.front();
  std::vector<std::string> ways;
  for (const Miss& m : c.misses) ways.push_back(fmt::format("{}: {}", m.text, m.change));
  return fmt::format("nothing meets every target; closest is {} in {} on {} x {}: {}",
                     question.models[c.model].name, c.choice.name, c.count, c.gpu, fmt::join(ways, "; "));
}

double todays_cost(const Question& question, const Current& current) {
  if (current.cost_per_month > 0) return current.cost_per_month;
  const auto price = question.prices.find(current.gpu);
  if (price == question.prices.end()) return NAN;
  return cost_of(find_device(current.gpu), current.count, price->second, 1).per_month;
}

double payback_of(const Question& question, const Candidate& chosen) {
  if (!question.current) return NAN;
  return payback_days(chosen.effort.price, todays_cost(question, *question.current), chosen.cost.per_month);
}

void check(const Question& question) {
  if (question.models.empty()) throw base::BadUsage("plan needs a model: a folder, or --parameters 70B");
  if (question.devices.empty()) throw base::BadUsage("plan needs a device: --gpu H100-80G, or cpu");
  if (!(question.traffic.prompt_tokens >= 1 && question.traffic.generate_tokens >= 1))
    throw base::BadUsage("prompt and generated tokens must be at least 1");
}

}  // namespace

std::vector<Candidate> sweep(const Question& question) {
  check(question);
  std::vector<std::string> findings;
  return judge_all(question, findings);
}

Answer answer(const Question& question) {
  check(question);
  Answer a;
  a.question = question;
  a.candidates = judge_all(a.question, a.findings);
  if (a.candidates.empty())
    throw base::BadUsage("no combination of scheme, device and count is possible; see --count and --schemes");
  rank(a.question, a.candidates);
  suggest_changes(a.question, a.candidates);
  play(a.question, a.candidates);
  a.pareto = pareto_set(a.question, a.candidates);
  if (a.candidates.front().meets()) a.chosen = 0;
  a.closest = closest_text(a.question, a.candidates);
  a.warnings = warnings_of(a.question, a.candidates);
  for (std::string& finding : findings_of(a.question, a.candidates)) a.findings.push_back(std::move(finding));
  a.training = training_memory(a.question.models.front(), {});
  a.payback_days = a.chosen ? payback_of(a.question, a.candidates[*a.chosen]) : NAN;
  return a;
}

}  // namespace aquatint::plan
