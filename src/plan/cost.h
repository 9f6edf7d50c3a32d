// Money, energy, and the work of getting there.
#pragma once
#include <string>

#include "plan/load.h"

namespace aquatint::plan {

// Of all replicas together; NaN where no price is given.
struct Cost {
  double per_hour = 0, per_month = 0;  // 730 hours
  double per_million_tokens = 0;       // generated, at the load's average
  double watts = 0;                    // of the cards at the makers' limit: an upper bound
  double joules_per_token = 0;
};
Cost cost_of(const Device& device, int cards, double price_per_hour, double tokens_per_second);

// Making the quantized model, on one of the same cards.
struct Effort {
  std::string method;         // "rtn", "gptq", …
  double quantize_hours = 0;  // from published times, scaled; on a processor from its arithmetic
  double evaluate_hours = 0;  // perplexity and tasks before and after
  double memory_bytes = 0;    // block by block
  double price = 0;           // NaN without a price
  std::string source;
};
Effort effort_of(const Shape& shape, const Choice& choice, const Device& device, double price_per_hour,
                 const Efficiency& efficiency);

// Days after which `spent` is earned back by what is saved a month; NaN: never.
double payback_days(double spent, double before_per_month, double after_per_month);

}  // namespace aquatint::plan
