// Right and wrong answers of two models to the same questions.
#pragma once
#include <cstdint>
#include <vector>

#include "eval/statistics.h"

namespace aquatint::eval {

// Indices of the items whose answer changed from the reference to the model.
struct Flips {
  std::vector<int64_t> lost, gained;  // right → wrong, wrong → right
};
Flips flips(const std::vector<bool>& model, const std::vector<bool>& reference);

// first − second, difference of two shares of right answers over the same n items, of which `only_first` and
// `only_second` were right in one alone. The interval is the hull of two: Tango's score interval (1998,
// Statist. Med. 17:891) and the adjusted Wald interval of Bonett and Price (2012, J. Educ. Behav. Stat.
// 37:479). Each alone covers 92.7 % or more at a level of 95 %, but they fall below it at different places:
// together 95.0 % or more, exactly computed for 20 to 1000 items of which 0.5 to 40 % flip. With some five
// flips or fewer the interval is conservative (up to 100 %), and it has a width when nothing flips.
PairedDifference paired_proportion_interval(int64_t only_first, int64_t only_second, int64_t n,
                                            double confidence = 0.95);
PairedDifference paired_proportion_interval(const std::vector<bool>& first, const std::vector<bool>& second,
                                            double confidence = 0.95);

}  // namespace aquatint::eval
