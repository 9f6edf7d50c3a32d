#include "eval/noise_floor.h"

#include <algorithm>
#include <cmath>

namespace aquatint::eval {
namespace {

void compare_items(const TaskResult& first, const TaskResult& again, NoiseFloor& floor) {
  floor.items += again.n;
  for (size_t i = 0; i < again.items.size(); ++i) {
    const ItemResult &a = first.items[i], &b = again.items[i];
    floor.other_texts += a.text != b.text;
    for (size_t k = 0; k < a.log_likelihoods.size(); ++k)
      floor.largest_difference =
          std::max(floor.largest_difference, std::fabs(a.log_likelihoods[k] - b.log_likelihoods[k]));
    if (const Metric* was = first.score(), *is = again.score(); was && is)
      floor.flips += was->values[i] != is->values[i];
  }
}

}  // namespace

NoiseFloor noise_floor(model::Model& model, const text::Tokenizer& tokenizer, const std::vector<Task>& tasks,
                       const std::vector<TaskResult>& results, TaskOptions options) {
  NoiseFloor floor;
  options.batch_tokens = options.batch_tokens / 5 + 7;
  for (size_t i = 0; i < tasks.size(); ++i)
    compare_items(results[i], run_task(model, tokenizer, tasks[i], options), floor);
  return floor;
}

}  // namespace aquatint::eval
