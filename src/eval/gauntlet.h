// The averages of the MosaicML Evaluation Gauntlet: accuracies with chance taken out, (accuracy − baseline) /
// (1 − baseline), equal weights within a category, then over categories.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "eval/tasks.h"

namespace aquatint::eval {

struct GauntletAverages {
  std::map<std::string, double> categories;
  double average = 0;
};

// Over the tasks that the Gauntlet has; nullopt when there are none.
std::optional<GauntletAverages> gauntlet_averages(const std::vector<Task>& tasks,
                                                  const std::vector<TaskResult>& results);

}  // namespace aquatint::eval
