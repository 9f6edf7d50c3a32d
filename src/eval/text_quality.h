// Perplexity of a model over the windows of a text, and its divergence from a reference at the same
// positions.
//
//   perplexity = exp(mean over scored tokens of −ln p(token | the window before it))
//   KLD        = Σ_v p_ref(v) · ln(p_ref(v) / p_model(v)) at each scored position, in nats, over the full
//   vocabulary
//
// Sums are FP64. Standard errors are over windows, which are taken as independent: of a mean m over W windows
// with window means m_w, √(Σ (m_w − m)² / (W (W − 1))), NaN for a single window; of the perplexity, that of
// the mean negative log-likelihood times the perplexity (delta method).
#pragma once
#include <optional>
#include <vector>

#include "base/json.h"
#include "eval/windows.h"
#include "model/model.h"

namespace aquatint::eval {

struct Perplexity {
  double value = 0, standard_error = 0;
  int64_t tokens = 0;  // scored
  int64_t context = 0, stride = 0, score_from = 0, windows = 0;
  std::vector<double> window_nll;  // mean negative log-likelihood of each window, in nats
};

struct DivergenceResult {
  double mean_kld = 0, mean_kld_stderr = 0;
  double median_kld = 0, p90_kld = 0, p95_kld = 0, p99_kld = 0, p999_kld = 0, max_kld = 0;
  double same_top1 = 0, same_top1_stderr = 0;  // a fraction of the scored positions
  double reference_perplexity = 0;
  // ln(perplexity / reference perplexity), its error from the paired differences of the windows' means.
  double log_ratio = 0, log_ratio_stderr = 0;
  // Mean KLD by position in the window: the scored positions cut into equal bins.
  struct Bin {
    int64_t first = 0, last = 0;  // positions of the predicted tokens, inclusive
    double mean_kld = 0;
  };
  std::vector<Bin> bins;
};

struct TextResult {
  Perplexity perplexity;
  std::optional<DivergenceResult> divergence;
};

// The reference's final hidden states at the scored positions of every window, in FP32 (scored · hidden_size
// · 4 bytes), made by one pass and used for any number of candidates. Keeps the reference model, whose head
// is recomputed.
class ReferenceStates {
 public:
  // `reference` and `windows` must outlive the object.
  ReferenceStates(model::Model& reference, const Windows& windows);

  const model::Model& model() const { return reference_; }
  const Windows& windows() const { return windows_; }
  const float* window(int64_t i) const;  // [scored_per_window][hidden_size]
  // The reference's own perplexity, from the same pass.
  const Perplexity& perplexity() const { return perplexity_; }

 private:
  model::Model& reference_;
  const Windows& windows_;
  std::vector<float> states_;
  Perplexity perplexity_;
};

// BadUsage when the context exceeds the model's positions; BadInput when the vocabularies differ, or a token
// of the windows lies outside the model's.
TextResult evaluate_text(model::Model& model, const Windows& windows);
TextResult evaluate_text(model::Model& model, const ReferenceStates& reference);

// {"perplexity": {…}, "divergence": {…}} with the keys of `eval --json`.
base::Json to_json(const TextResult& result);

}  // namespace aquatint::eval
