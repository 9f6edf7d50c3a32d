// Which option each of several sets takes so that all together cost no more than a budget and lose least.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace aquatint::quant {

struct MixtureOption {
  double loss = 0, cost = 0;  // both ≥ 0; they add up over the sets
};

// The index of the option of each set; nullopt when even the cheapest options cost more than the budget.
// Dynamic programming over the budget cut in 2¹⁴ steps, costs rounded up: never over the budget, and at most
// (number of sets) steps of it unused, which single better options then take up where they fit.
std::optional<std::vector<size_t>> choose_under_budget(std::span<const std::vector<MixtureOption>> sets,
                                                       double budget);

}  // namespace aquatint::quant
