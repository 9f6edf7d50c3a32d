#include "eval/gauntlet.h"

#include "base/statistics.h"

namespace aquatint::eval {

std::optional<GauntletAverages> gauntlet_averages(const std::vector<Task>& tasks,
                                                  const std::vector<TaskResult>& results) {
  std::map<std::string, std::vector<double>> scores;
  for (size_t i = 0; i < tasks.size(); ++i)
    if (!tasks[i].config.category.empty() && results[i].score())
      scores[tasks[i].config.category].push_back(results[i].chance_corrected());
  if (scores.empty()) return std::nullopt;
  GauntletAverages averages;
  std::vector<double> all;
  for (const auto& [category, values] : scores)
    all.push_back(averages.categories[category] = base::summarize(values).mean);
  averages.average = base::summarize(all).mean;
  return averages;
}

}  // namespace aquatint::eval
