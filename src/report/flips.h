// Examples of answers that changed, to be read by people.
#pragma once
#include <vector>

#include "eval/flips.h"
#include "eval/tasks.h"
#include "report/study_data.h"
#include "report/task_store.h"

namespace aquatint::report {

// The first `most` of each kind; none where the items' texts are not known.
std::vector<FlipExample> flip_examples(const eval::TaskResult& model, const eval::TaskResult& reference,
                                       const eval::Flips& flips, size_t most);

// Examples for every row of a study, from the item results that the study kept. Results that are not those of
// the row, item by item, give none.
void add_flip_examples(Study& study, const TaskStore& store);

}  // namespace aquatint::report
