// From what a model gave to an item to the metrics of a task, as lm-evaluation-harness defines them.
#pragma once
#include <span>
#include <vector>

#include "eval/tasks.h"

namespace aquatint::eval {

// The metrics that the task's configuration asks for, over the first results.size() items. BadInput for one
// that its kind does not have.
std::vector<Metric> score_items(const Task& task, std::span<const ItemResult> results);

}  // namespace aquatint::eval
