// What a choice is expected to keep of the model's quality: from the user's own study where it has the model,
// otherwise from published recoveries: recoveries.json, built in.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "plan/choice.h"
#include "report/study_data.h"

namespace aquatint::plan {

// Shares of the 16-bit model's score: 1 is all of it.
struct Quality {
  double recovery = 0;       // expected; NaN: nothing is known
  double low = 0, high = 0;  // the range published, or the interval of the study
  std::string basis;         // "study", "published", "exact", "unknown"
  std::string source;        // whose figures, of which model
  std::string note;
  double loss() const { return 1 - recovery; }
};

// `study`: null, or rows of this model (planner.h checks which).
Quality expected_quality(const Shape& shape, const Choice& choice, const report::Study* study);

}  // namespace aquatint::plan
