// Which scheme, why, how sure, and what would change the answer: a pure function of a study's rows.
//
// Quality is "the same" while perplexity grows by no more than the study's tolerance over the reference
// (without perplexity: while the mean KLD stays below ln(1 + tolerance), which is the same loss if the
// reference is the truth) and no significant drop of task accuracy was seen. Among the schemes that keep it,
// the largest geometric mean of the gains over the 16-bit baseline in file size, prefill speed and decode
// speed is recommended.
#pragma once
#include <string>
#include <vector>

#include "report/study_data.h"

namespace aquatint::report {

struct Loss {
  Measured perplexity_increase;  // fraction over the reference; paired window by window where both rows have
                                 // windows
  bool paired = false;
  Measured accuracy_change;           // mean over tasks, fraction; paired by item
  bool accuracy_significant = false;  // |change| > 2 standard errors
};
Loss loss_from(const StudyRow& reference, const StudyRow& row);

struct Verdict {
  int chosen = -1;  // index into rows, -1: no recommendation
  int reference = -1, baseline = -1;
  std::vector<Loss> losses;  // by row, from the reference
  // By row: the rows at least as good in everything measured for both (quality, file size, prefill, decode)
  // and better beyond noise in something; empty: on the Pareto front.
  std::vector<std::vector<int>> dominated_by;
  std::string headline;           // "Use W8A8."
  std::string why, sure, change;  // why, how sure, what would change it; `sure` and `change` may be empty
  std::string paragraph() const;  // all three as one text
};
Verdict decide(const Study& study);

}  // namespace aquatint::report
