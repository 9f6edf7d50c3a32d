#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "plan/candidate.h"

namespace aquatint::plan {
namespace {

constexpr double kUnserved = 100;  // what does not fit comes after whatever runs
constexpr double kLevel = 0.01;    // costs closer than this count as the same

bool all_priced(const Question& question) {
  return std::ranges::all_of(question.devices,
                             [&](const Device& device) { return question.prices.contains(device.name); });
}

bool all_rated(const Question& question) {
  return std::ranges::all_of(question.devices, [](const Device& device) { return device.watts > 0; });
}

// Meaningful where nothing is known too: worst.
double loss_of(const Candidate& c) { return std::isnan(c.quality.loss()) ? 1 : c.quality.loss(); }

// Costs in steps of a hundredth, so that the order is a strict one.
double level(double cost) { return std::isfinite(cost) ? std::floor(std::log(cost) / kLevel) : INFINITY; }

bool better(const Question& question, const Candidate& a, const Candidate& b) {
  if (a.meets() != b.meets()) return a.meets();
  if (!a.meets() && distance(a) != distance(b)) return distance(a) < distance(b);
  const double cost_a = level(cost_key(question, a)), cost_b = level(cost_key(question, b));
  if (cost_a != cost_b) return cost_a < cost_b;
  if (loss_of(a) != loss_of(b)) return loss_of(a) < loss_of(b);
  return a.loaded.token < b.loaded.token;
}

std::string reason_of(const Question& question, const Candidate& c, const Candidate& best) {
  if (!c.meets()) {
    std::vector<std::string> texts;
    for (const Miss& m : c.misses) texts.push_back(m.text);
    return fmt::format("{}", fmt::join(texts, "; "));
  }
  const double ratio = cost_key(question, c) / cost_key(question, best);
  if (&c == &best) return fmt::format("meets everything at the least cost; bound by {}", c.bound);
  if (std::fabs(ratio - 1) <= 2 * kLevel)
    return fmt::format("meets everything at the same cost, {}",
                       loss_of(c) > loss_of(best) ? "losing more" : "slower to each user");
  return fmt::format("meets everything at {:.2f} times the cost; bound by {}", ratio, c.bound);
}

bool beats(const Question& question, const Candidate& a, const Candidate& b) {
  const double costs[] = {cost_key(question, a), cost_key(question, b)};
  const bool as_good = costs[0] <= costs[1] && a.loaded.token <= b.loaded.token && loss_of(a) <= loss_of(b);
  return as_good && (costs[0] < costs[1] || a.loaded.token < b.loaded.token || loss_of(a) < loss_of(b));
}

}  // namespace

double cost_key(const Question& question, const Candidate& c) {
  if (c.most_sequences < 1) return INFINITY;
  const bool load = question.traffic.requests_per_second > 0;
  if (all_priced(question)) return load ? c.cost.per_month : c.cost.per_million_tokens;
  if (all_rated(question)) return load ? c.cost.watts : c.cost.joules_per_token;
  const double cards = c.count * c.replicas;
  return load ? cards : cards / c.loaded.tokens_per_second;
}

double distance(const Candidate& c) {
  double sum = 0;
  for (const Miss& m : c.misses) {
    const double ratio = m.is / m.wanted;
    sum += m.target == "layout" || !(ratio > 1) ? 1 : std::log2(ratio);
    if (m.target == "memory") sum += kUnserved;
  }
  return sum;
}

void rank(const Question& question, std::vector<Candidate>& candidates) {
  std::ranges::stable_sort(candidates,
                           [&](const Candidate& a, const Candidate& b) { return better(question, a, b); });
  for (Candidate& c : candidates) c.reason = reason_of(question, c, candidates.front());
}

std::vector<size_t> pareto_set(const Question& question, const std::vector<Candidate>& candidates) {
  std::vector<size_t> set;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& c = candidates[i];
    if (c.most_sequences < 1) continue;
    const bool beaten = std::ranges::any_of(candidates, [&](const Candidate& other) {
      return other.most_sequences >= 1 && beats(question, other, c);
    });
    if (!beaten) set.push_back(i);
  }
  return set;
}

}  // namespace aquatint::plan
