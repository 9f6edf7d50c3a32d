#include "report/verdict.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "report/comparison.h"
#include "report/verdict_text.h"

namespace aquatint::report {
namespace {

int first_of(const std::vector<StudyRow>& rows, RowKind kind) {
  const auto found =
      std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.kind == kind; });
  return found == rows.end() ? -1 : static_cast<int>(found - rows.begin());
}

// The best combined gain; among those level with it within noise, the one closest to the reference.
int best_of(const Case& c, const std::vector<int>& among) {
  int best = -1;
  for (const int row : among)
    if (std::isfinite(c.gains[row].combined) && (best < 0 || c.gains[row].combined > c.gains[best].combined))
      best = row;
  if (best < 0) return -1;
  int closest = best;
  for (const int row : among) {
    if (!level(c.gains[row], c.gains[best])) continue;
    const Axis candidate = quality_axis(c.row(row), c.row(c.reference));
    if (candidate.value < quality_axis(c.row(closest), c.row(c.reference)).value) closest = row;
  }
  return closest;
}

void judge_quality(Case& c) {
  for (size_t i = 0; i < c.study->rows.size(); ++i) {
    const int row = static_cast<int>(i);
    if (c.row(row).kind != RowKind::candidate) continue;
    c.candidates.push_back(row);
    const double loss = c.loss_value(row);
    if (!std::isfinite(loss)) continue;
    const Loss& l = c.losses[row];
    const bool tasks_lost = l.accuracy_significant && l.accuracy_change.value < -c.tolerance;
    (loss <= c.tolerance && !tasks_lost ? c.kept : c.lost).push_back(row);
  }
}

void choose(Case& c) {
  const int best = best_of(c, c.kept);
  // Not better than what one has already: the baseline stays.
  if (best >= 0 && c.gains[best].combined > 1 + std::max(kSpeedFloor / 2, 2 * c.gains[best].error))
    c.chosen = best;
  if (c.chosen < 0) return;
  std::vector<int> others, tighter;
  for (const int row : c.kept) {
    if (row != c.chosen) others.push_back(row);
    if (c.loss_value(row) < c.loss_value(c.chosen)) tighter.push_back(row);
  }
  c.rival = best_of(c, others);
  c.tighter = best_of(c, tighter);
}

}  // namespace

bool level(const Gains& a, const Gains& b) {
  const double noise = std::max(kSpeedFloor / 2, 2 * std::hypot(a.error, b.error));
  return std::abs(std::log(a.combined / b.combined)) <= noise;
}

double Case::loss_value(int i) const {
  if (losses[i].perplexity_increase.known()) return losses[i].perplexity_increase.value;
  // KLD is the growth of log-perplexity on text drawn from the reference itself.
  return std::expm1(row(i).mean_kld.value);
}

Verdict decide(const Study& study) {
  Verdict verdict;
  const auto& rows = study.rows;
  verdict.dominated_by.resize(rows.size());
  verdict.losses.resize(rows.size());
  verdict.reference = first_of(rows, RowKind::reference);
  verdict.baseline = first_of(rows, RowKind::baseline);
  if (verdict.reference < 0) verdict.reference = verdict.baseline;
  if (verdict.baseline < 0) verdict.baseline = verdict.reference;

  Case c;
  c.study = &study;
  c.reference = verdict.reference;
  c.baseline = verdict.baseline;
  c.tolerance = study.facts.max_perplexity_increase;
  if (c.reference >= 0) {
    for (size_t i = 0; i < rows.size(); ++i) {
      verdict.losses[i] = loss_from(rows[c.reference], rows[i]);
      c.gains.push_back(gains_over(rows[c.baseline], rows[i]));
      for (size_t j = 0; j < rows.size(); ++j)
        if (i != j && dominates(rows[j], rows[i], rows[c.reference]))
          verdict.dominated_by[i].push_back(static_cast<int>(j));
    }
    c.losses = verdict.losses;
    judge_quality(c);
    choose(c);
  }
  verdict.chosen = c.chosen;
  put_into_words(c, verdict);
  return verdict;
}

}  // namespace aquatint::report
