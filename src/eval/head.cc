#include "eval/head.h"

#include <algorithm>

namespace aquatint::eval {

Head::Head(const model::Model& model)
    : model_(model), logits_(static_cast<size_t>(kHeadRows * model.config().vocab_size)) {}

const float* Head::logits(const float* hidden, int64_t rows) {
  model_.logits(hidden, rows, kernels::Phase::prefill, logits_.data());
  return logits_.data();
}

std::vector<TokenScore> Head::score(const float* hidden, std::span<const int32_t> targets) {
  const int64_t vocab = model_.config().vocab_size, width = model_.config().hidden_size;
  const auto count = static_cast<int64_t>(targets.size());
  std::vector<TokenScore> scores(targets.size());
  std::vector<kernels::LogitStats> stats(kHeadRows);
  for (int64_t begin = 0; begin < count; begin += kHeadRows) {
    const int64_t rows = std::min(kHeadRows, count - begin);
    const float* rows_logits = logits(hidden + begin * width, rows);
    model_.backend().host_kernels().logit_stats(rows_logits, rows, vocab, stats.data(),
                                                *model_.backend().pool);
    for (int64_t row = 0; row < rows; ++row) {
      const int32_t target = targets[static_cast<size_t>(begin + row)];
      const kernels::LogitStats& of_row = stats[static_cast<size_t>(row)];
      scores[static_cast<size_t>(begin + row)] = {
          double{rows_logits[row * vocab + target]} - of_row.log_sum_exp, of_row.top == target};
    }
  }
  return scores;
}

}  // namespace aquatint::eval
