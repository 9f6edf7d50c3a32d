// How changes of task results are shown, in a study and in a comparison of stored results. Internal to the
// room.
#pragma once
#include <string>
#include <vector>

#include "eval/difference_histogram.h"
#include "eval/flips.h"
#include "eval/recovery.h"
#include "report/flips.h"

namespace aquatint::report {

std::string open_changes(const std::string& first_column);  // a table as far as that column's title
std::string change_cell(const eval::PairedDifference& difference, const eval::Flips& flips);
std::string recovery_cell(const eval::RecoveryEstimate& estimate);
// "" with fewer than two differences; `whose`: "schemes", "models".
std::string difference_chart(const eval::DifferenceHistogram& differences, const std::string& whose);

struct NamedFlips {
  std::string name;  // of the model or scheme
  std::vector<FlipExample> examples;
};
std::string flips_section(const std::vector<NamedFlips>& models);  // "" without examples

}  // namespace aquatint::report
