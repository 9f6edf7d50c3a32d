// The verdict in words. Internal to the room.
#pragma once
#include <string>
#include <vector>

#include "report/comparison.h"
#include "report/verdict.h"

namespace aquatint::report {

// A decision laid open: everything the words are made from. Numbers are indices into study->rows, -1: none.
struct Case {
  const Study* study = nullptr;
  int reference = -1, baseline = -1;
  double tolerance = 0;         // accepted perplexity increase, a fraction
  std::vector<Loss> losses;     // by row
  std::vector<Gains> gains;     // by row, over the baseline
  std::vector<int> candidates;  // all of them
  std::vector<int> kept, lost;  // those that keep the quality, and do not; neither: not measured
  int chosen = -1;
  int rival = -1;    // the next best of `kept`
  int tighter = -1;  // what would be chosen if the limit lay just under the chosen one's loss

  const StudyRow& row(int i) const { return study->rows[static_cast<size_t>(i)]; }
  double loss_value(int i) const;  // perplexity increase, or what the mean KLD is worth; NaN: not measured
};

bool level(const Gains& a, const Gains& b);  // no difference beyond noise

// Fills headline, why, sure and change.
void put_into_words(const Case& c, Verdict& verdict);

}  // namespace aquatint::report
