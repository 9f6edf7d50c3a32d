// Examples of answers that changed, to be read by people.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "eval/flips.h"
#include "eval/tasks.h"

namespace aquatint::report {

struct FlipExample {
  std::string task;
  int64_t line = 0;   // of the item in its file
  bool lost = false;  // right → wrong; else wrong → right
  std::string question;
  std::string reference, model;  // what each answered
};

// The first `most` of each kind; none where the items' texts are not known.
std::vector<FlipExample> flip_examples(const eval::TaskResult& model, const eval::TaskResult& reference,
                                       const eval::Flips& flips, size_t most);

}  // namespace aquatint::report
