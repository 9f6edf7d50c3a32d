#include "eval/text_quality.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/log.h"
#include "base/statistics.h"
#include "eval/head.h"
#include "eval/statistics.h"

namespace aquatint::eval {
namespace {

constexpr int64_t kPositionBins = 8;

void check_fits(const model::Model& model, const Windows& windows) {
  const model::Config& config = model.config();
  const int64_t context = windows.options().context;
  if (config.max_positions > 0 && context > config.max_positions)
    throw base::BadUsage(fmt::format("--context {}: the model has {} positions (max_position_embeddings)",
                                     context, config.max_positions));
  for (int64_t i = 0; i < windows.count(); ++i)
    for (const int32_t token : windows.window(i))
      if (token < 0 || token >= config.vocab_size)
        throw base::BadInput(
            fmt::format("token {} of the text is outside the model's vocabulary of {}; does the tokenizer "
                        "belong to this model?",
                        token, config.vocab_size));
}

// Final hidden states of one window after another.
class Pass {
 public:
  Pass(model::Model& model, const Windows& windows)
      : model_(model),
        windows_(windows),
        cache_(model.cache(windows.options().context)),
        hidden_(static_cast<size_t>(windows.options().context * model.config().hidden_size)) {}

  // The state before each scored token of window i: [scored_per_window][hidden_size].
  const float* scored_states(int64_t i) {
    tokens_ = windows_.window(i);
    cache_.truncate(0);
    const model::Segment segment{&cache_, windows_.options().context};
    model_.forward(tokens_, {&segment, 1}, kernels::Phase::prefill, hidden_.data());
    return hidden_.data() + (windows_.options().score_from - 1) * model_.config().hidden_size;
  }
  // Of the window that ran last.
  std::span<const int32_t> scored_tokens() const {
    return std::span(tokens_).subspan(static_cast<size_t>(windows_.options().score_from));
  }

 private:
  model::Model& model_;
  const Windows& windows_;
  model::KvCache cache_;
  std::vector<float> hidden_;
  std::vector<int32_t> tokens_;
};

double mean_of(std::span<const double> values) { return base::summarize(values).mean; }

Perplexity finish_perplexity(const Windows& windows, std::vector<double> window_nll) {
  Perplexity result;
  result.value = std::exp(mean_of(window_nll));  // every window has as many tokens
  result.standard_error = result.value * base::standard_error(window_nll);
  result.tokens = windows.scored();
  result.context = windows.options().context;
  result.stride = windows.options().stride;
  result.score_from = windows.options().score_from;
  result.windows = windows.count();
  result.window_nll = std::move(window_nll);
  return result;
}

double mean_nll(const std::vector<TokenScore>& scores) {
  double sum = 0;
  for (const TokenScore& score : scores) sum -= score.log_probability;
  return sum / static_cast<double>(scores.size());
}

// What a comparison gathers, position by position.
struct Comparison {
  std::vector<double> kld;  // of every scored position, window after window
  std::vector<double> window_nll, window_kld, window_same;

  void add_window(std::span<const kernels::Divergence> rows, double nll) {
    double kld_sum = 0, same = 0;
    for (const kernels::Divergence& row : rows) {
      kld.push_back(row.kl);
      kld_sum += row.kl;
      same += row.reference.top == row.model.top;
    }
    const auto n = static_cast<double>(rows.size());
    window_nll.push_back(nll);
    window_kld.push_back(kld_sum / n);
    window_same.push_back(same / n);
  }
};

std::vector<DivergenceResult::Bin> position_bins(const std::vector<double>& kld, const Windows& windows) {
  const int64_t scored = windows.scored_per_window(), count = std::min(kPositionBins, scored);
  std::vector<DivergenceResult::Bin> bins;
  for (int64_t b = 0; b < count; ++b) {
    const int64_t begin = scored * b / count, end = scored * (b + 1) / count;
    double sum = 0;
    for (int64_t w = 0; w < windows.count(); ++w)
      for (int64_t i = begin; i < end; ++i) sum += kld[static_cast<size_t>(w * scored + i)];
    const int64_t from = windows.options().score_from;
    bins.push_back(
        {from + begin, from + end - 1, sum / static_cast<double>((end - begin) * windows.count())});
  }
  return bins;
}

DivergenceResult finish_divergence(Comparison& found, const ReferenceStates& reference) {
  DivergenceResult result;
  result.mean_kld = mean_of(found.window_kld);
  result.mean_kld_stderr = base::standard_error(found.window_kld);
  result.same_top1 = mean_of(found.window_same);
  result.same_top1_stderr = base::standard_error(found.window_same);
  result.bins = position_bins(found.kld, reference.windows());
  result.median_kld = quantile(found.kld, 0.5);
  result.p90_kld = quantile(found.kld, 0.9);
  result.p95_kld = quantile(found.kld, 0.95);
  result.p99_kld = quantile(found.kld, 0.99);
  result.p999_kld = quantile(found.kld, 0.999);
  result.max_kld = found.kld.back();  // quantile sorted them
  result.reference_perplexity = reference.perplexity().value;
  const PairedDifference ratio = paired_difference(found.window_nll, reference.perplexity().window_nll);
  result.log_ratio = ratio.mean;
  result.log_ratio_stderr = ratio.standard_error;
  return result;
}

// The divergence of each row of one window, and the window's mean negative log-likelihood under the model.
double compare_window(Head& reference, Head& model, const float* reference_states, const float* states,
                      std::span<const int32_t> targets, std::vector<kernels::Divergence>& rows) {
  const model::Config& config = model.model().config();
  const int64_t reference_width = reference.model().config().hidden_size;
  const auto count = static_cast<int64_t>(targets.size());
  rows.resize(targets.size());
  std::vector<float> target_logits(kHeadRows);
  double nll = 0;
  for (int64_t begin = 0; begin < count; begin += kHeadRows) {
    const int64_t n = std::min(kHeadRows, count - begin);
    const auto wanted = targets.subspan(static_cast<size_t>(begin), static_cast<size_t>(n));
    model.compare(reference, reference_states + begin * reference_width, states + begin * config.hidden_size,
                  wanted, rows.data() + begin, target_logits.data());
    for (int64_t i = 0; i < n; ++i)
      nll += rows[static_cast<size_t>(begin + i)].model.log_sum_exp - target_logits[static_cast<size_t>(i)];
  }
  return nll / static_cast<double>(count);
}

}  // namespace

ReferenceStates::ReferenceStates(model::Model& reference, const Windows& windows)
    : reference_(reference), windows_(windows) {
  check_fits(reference, windows);
  const int64_t width = reference.config().hidden_size, scored = windows.scored_per_window();
  states_.resize(static_cast<size_t>(windows.scored() * width));
  Pass pass(reference, windows);
  Head head(reference);
  std::vector<double> window_nll;
  for (int64_t i = 0; i < windows.count(); ++i) {
    base::progress("reference", i, windows.count(), "windows");
    const float* states = pass.scored_states(i);
    std::copy_n(states, scored * width, states_.begin() + i * scored * width);
    window_nll.push_back(mean_nll(head.score(states, pass.scored_tokens())));
  }
  base::progress("reference", windows.count(), windows.count(), "windows");
  perplexity_ = finish_perplexity(windows, std::move(window_nll));
}

const float* ReferenceStates::window(int64_t i) const {
  return states_.data() + i * windows_.scored_per_window() * reference_.config().hidden_size;
}

TextResult evaluate_text(model::Model& model, const Windows& windows) {
  check_fits(model, windows);
  Pass pass(model, windows);
  Head head(model);
  std::vector<double> window_nll;
  for (int64_t i = 0; i < windows.count(); ++i) {
    base::progress("perplexity", i, windows.count(), "windows");
    const float* states = pass.scored_states(i);
    window_nll.push_back(mean_nll(head.score(states, pass.scored_tokens())));
  }
  base::progress("perplexity", windows.count(), windows.count(), "windows");
  return {finish_perplexity(windows, std::move(window_nll)), std::nullopt};
}

TextResult evaluate_text(model::Model& model, const ReferenceStates& reference) {
  const Windows& windows = reference.windows();
  check_fits(model, windows);
  if (model.config().vocab_size != reference.model().config().vocab_size)
    throw base::BadInput(
        fmt::format("the model has a vocabulary of {}, the reference one of {}; divergence needs the same",
                    model.config().vocab_size, reference.model().config().vocab_size));
  Pass pass(model, windows);
  Head reference_head(reference.model()), head(model);
  Comparison found;
  std::vector<kernels::Divergence> rows;
  for (int64_t i = 0; i < windows.count(); ++i) {
    base::progress("divergence", i, windows.count(), "windows");
    const float* states = pass.scored_states(i);
    const double nll =
        compare_window(reference_head, head, reference.window(i), states, pass.scored_tokens(), rows);
    found.add_window(rows, nll);
  }
  base::progress("divergence", windows.count(), windows.count(), "windows");
  TextResult result{finish_perplexity(windows, found.window_nll), std::nullopt};
  result.divergence = finish_divergence(found, reference);
  return result;
}

base::Json to_json(const TextResult& result) {
  const Perplexity& p = result.perplexity;
  base::Json json = {{"perplexity",
                      {{"value", p.value},
                       {"stderr", p.standard_error},
                       {"tokens", p.tokens},
                       {"context", p.context},
                       {"stride", p.stride},
                       {"score_from", p.score_from},
                       {"windows", p.windows}}}};
  if (!result.divergence) return json;
  const DivergenceResult& d = *result.divergence;
  base::Json bins = base::Json::array();
  for (const DivergenceResult::Bin& bin : d.bins)
    bins.push_back({{"first", bin.first}, {"last", bin.last}, {"mean_kld", bin.mean_kld}});
  json["divergence"] = {{"mean_kld", d.mean_kld},
                        {"mean_kld_stderr", d.mean_kld_stderr},
                        {"median_kld", d.median_kld},
                        {"p90_kld", d.p90_kld},
                        {"p95_kld", d.p95_kld},
                        {"p99_kld", d.p99_kld},
                        {"p99.9_kld", d.p999_kld},
                        {"max_kld", d.max_kld},
                        {"same_top1", d.same_top1},
                        {"same_top1_stderr", d.same_top1_stderr},
                        {"reference_perplexity", d.reference_perplexity},
                        {"log_ratio", d.log_ratio},
                        {"log_ratio_stderr", d.log_ratio_stderr},
                        {"by_position", bins}};
  return json;
}

}  // namespace aquatint::eval
