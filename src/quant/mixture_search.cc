#include "quant/mixture_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace aquatint::quant {
namespace {

using Sets = std::span<const std::vector<MixtureOption>>;
constexpr size_t kSteps = size_t{1} << 14;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double least_cost(const std::vector<MixtureOption>& options) {
  return std::min_element(options.begin(), options.end(),
                          [](const auto& a, const auto& b) { return a.cost < b.cost; })
      ->cost;
}

// The least loss for each amount of steps spent beyond the cheapest options.
std::vector<size_t> by_steps(Sets sets, double step) {
  std::vector<double> loss(kSteps + 1, 0.0), next(loss.size());
  std::vector<std::vector<uint8_t>> taken;
  const auto steps_of = [&](const std::vector<MixtureOption>& options, size_t i) {
    const double extra = options[i].cost - least_cost(options);
    return extra <= 0 ? 0.0 : step > 0 ? std::ceil(extra / step) : kInfinity;
  };
  for (const auto& options : sets) {
    std::vector<uint8_t>& choice = taken.emplace_back(loss.size(), 0);
    std::fill(next.begin(), next.end(), kInfinity);
    for (size_t i = 0; i < options.size(); ++i) {
      const double steps = steps_of(options, i);
      if (steps > static_cast<double>(kSteps)) continue;
      const auto spent = static_cast<size_t>(steps);
      for (size_t b = spent; b <= kSteps; ++b)
        if (const double total = loss[b - spent] + options[i].loss; total < next[b]) {
          next[b] = total;
          choice[b] = static_cast<uint8_t>(i);
        }
    }
    std::swap(loss, next);
  }
  std::vector<size_t> chosen(sets.size());
  size_t left = kSteps;
  for (size_t s = sets.size(); s-- > 0;) {
    chosen[s] = taken[s][left];
    left -= static_cast<size_t>(steps_of(sets[s], chosen[s]));
  }
  return chosen;
}

// Takes the single change that lowers the loss most while one fits into what is left.
void spend_rest(Sets sets, double budget, std::vector<size_t>& chosen) {
  double rest = budget;
  for (size_t s = 0; s < sets.size(); ++s) rest -= sets[s][chosen[s]].cost;
  for (;;) {
    double most = 0;
    size_t set = 0, option = 0;
    for (size_t s = 0; s < sets.size(); ++s)
      for (size_t i = 0; i < sets[s].size(); ++i) {
        const MixtureOption &now = sets[s][chosen[s]], &other = sets[s][i];
        if (other.cost - now.cost <= rest && now.loss - other.loss > most)
          most = now.loss - other.loss, set = s, option = i;
      }
    if (most <= 0) return;
    rest -= sets[set][option].cost - sets[set][chosen[set]].cost;
    chosen[set] = option;
  }
}

}  // namespace

std::optional<std::vector<size_t>> choose_under_budget(Sets sets, double budget) {
  double least = 0;
  for (const auto& options : sets) least += least_cost(options);
  if (!(least <= budget)) return std::nullopt;
  std::vector<size_t> chosen = by_steps(sets, (budget - least) / static_cast<double>(kSteps));
  spend_rest(sets, budget, chosen);
  return chosen;
}

}  // namespace aquatint::quant
