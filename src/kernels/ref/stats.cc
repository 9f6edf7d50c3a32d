// Statistics of next-token distributions.
#include <algorithm>
#include <cmath>

#include "kernels/ref/ref.h"

namespace aquatint::kernels::ref {

void logit_stats(const float* logits, int64_t rows, int64_t cols, LogitStats* out, base::ThreadPool&) {
  for (int64_t row = 0; row < rows; ++row, logits += cols) {
    const int64_t top = std::max_element(logits, logits + cols) - logits;
    double sum = 0;
    for (int64_t i = 0; i < cols; ++i) sum += std::exp(static_cast<double>(logits[i]) - logits[top]);
    out[row] = {logits[top] + std::log(sum), static_cast<int32_t>(top)};
  }
}

void divergence(const float* reference, const float* model, int64_t rows, int64_t cols, Divergence* out,
                base::ThreadPool& pool) {
  for (int64_t row = 0; row < rows; ++row, reference += cols, model += cols) {
    Divergence& result = out[row];
    logit_stats(reference, 1, cols, &result.reference, pool);
    logit_stats(model, 1, cols, &result.model, pool);
    result.kl = 0;
    for (int64_t i = 0; i < cols; ++i) {
      const double log_p = reference[i] - result.reference.log_sum_exp;
      const double log_q = model[i] - result.model.log_sum_exp;
      if (const double p = std::exp(log_p); p > 0) result.kl += p * (log_p - log_q);
    }
  }
}

}  // namespace aquatint::kernels::ref
