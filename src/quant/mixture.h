// A recipe of several schemes under a budget, from what each matrix costs in each of them.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "quant/sensitivity.h"

namespace aquatint::quant {

struct Budget {
  enum class Unit { bits_per_weight, bytes, seconds };  // of the linears; seconds: a generated token's

  Unit unit = Unit::bits_per_weight;
  double amount = 0;
};

struct Mixture {
  std::map<std::string, Effect> chosen;  // by module; linears that are not there stay in 16 bits
  double predicted_kld = 0;              // the effects' sum
  double bits_per_weight = 0;            // of all linears, 16-bit ones included
  uint64_t bytes = 0;
  std::string recipe;  // what `quantize --recipe` takes
};

// Each fused set (q, k, v; o; gate, up; down) gets one of the measured schemes, or stays in 16 bits; together
// they keep the budget and lose least by the sum of their effects. `seconds(bytes, scheme)` is the time that
// a generated token takes for a matrix of so many stored bytes (scheme null: 16 bits); only asked for a
// budget in seconds. BadUsage, with the least that is possible, when the budget is below it.
Mixture find_mixture(const Sensitivity& sensitivity, const Budget& budget,
                     const std::function<double(double bytes, const numeric::Scheme*)>& seconds = nullptr);

}  // namespace aquatint::quant
