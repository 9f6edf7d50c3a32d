#include "eval/head.h"

#include <algorithm>

namespace aquatint::eval {

Head::Head(const model::Model& model) : model_(model) {}

const float* Head::logits(const float* hidden, int64_t rows) {
  if (logits_.empty()) logits_.resize(static_cast<size_t>(kHeadRows * model_.config().vocab_size));
  model_.logits(hidden, rows, kernels::Phase::prefill, logits_.data());
  return logits_.data();
}

void Head::rate(const float* hidden, std::span<const int32_t> targets, kernels::LogitStats* stats,
                float* found) {
  const model::Backend& backend = model_.backend();
  if (!backend.memory().is_host()) return model_.score(hidden, targets, stats, found);
  const int64_t rows = std::ssize(targets), vocab = model_.config().vocab_size;
  const float* rows_logits = logits(hidden, rows);
  backend.kernels->logit_stats(rows_logits, rows, vocab, stats, *backend.pool);
  pick(rows_logits, targets, found);
}

void Head::compare(Head& reference, const float* reference_hidden, const float* hidden,
                   std::span<const int32_t> targets, kernels::Divergence* divergences, float* found) {
  const model::Backend& backend = model_.backend();
  if (!backend.memory().is_host())
    return model_.compare(reference.model_, reference_hidden, hidden, targets, divergences, found);
  const int64_t rows = std::ssize(targets);
  const float* expected = reference.logits(reference_hidden, rows);
  const float* rows_logits = logits(hidden, rows);
  backend.kernels->divergence(expected, rows_logits, rows, model_.config().vocab_size, divergences,
                              *backend.pool);
  pick(rows_logits, targets, found);
}

// logits[row][targets[row]].
void Head::pick(const float* logits, std::span<const int32_t> targets, float* found) const {
  for (size_t row = 0; row < targets.size(); ++row)
    found[row] = logits[static_cast<int64_t>(row) * model_.config().vocab_size + targets[row]];
}

std::vector<TokenScore> Head::score(const float* hidden, std::span<const int32_t> targets) {
  const int64_t width = model_.config().hidden_size;
  const auto count = static_cast<int64_t>(targets.size());
  std::vector<TokenScore> scores(targets.size());
  std::vector<kernels::LogitStats> stats(kHeadRows);
  std::vector<float> found(kHeadRows);  // the targets' logits
  for (int64_t begin = 0; begin < count; begin += kHeadRows) {
    const int64_t rows = std::min(kHeadRows, count - begin);
    const auto wanted = targets.subspan(static_cast<size_t>(begin), static_cast<size_t>(rows));
    rate(hidden + begin * width, wanted, stats.data(), found.data());
    for (size_t row = 0; row < wanted.size(); ++row)
      scores[static_cast<size_t>(begin) + row] = {double{found[row]} - stats[row].log_sum_exp,
                                                  stats[row].top == wanted[row]};
  }
  return scores;
}

}  // namespace aquatint::eval
