#include "quant/input_statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/log.h"
#include "model/column_magnitudes.h"
#include "model/dense.h"
#include "quant/linear_algebra.h"

namespace aquatint::quant {
namespace {

constexpr double kLargestDamping = 1;  // an identity as heavy as H itself

// The tokens of a file that are in memory at a time: a multiple of what kernels sum at once.
constexpr int64_t kTokens = 4096;
static_assert(kTokens % kernels::kMagnitudeRows == 0);

std::string token_name(int64_t token, std::span<const int64_t> lengths) {
  for (size_t sample = 0; sample < lengths.size(); ++sample) {
    if (token < lengths[sample]) return fmt::format("token {} of calibration sample {}", token, sample);
    token -= lengths[sample];
  }
  return fmt::format("calibration token {}", token);
}

bool all_finite(const std::vector<double>& sums) {
  return std::all_of(sums.begin(), sums.end(), [](double sum) { return std::isfinite(sum); });
}

// `first`: number of x's first token.
void check_finite(std::span<const float> x, int64_t cols, int64_t first, std::span<const int64_t> lengths,
                  const std::string& where) {
  for (size_t i = 0; i < x.size(); ++i)
    if (!std::isfinite(x[i]))
      throw base::BadInput(
          fmt::format("{}: input {} of {} is {}, expected a finite value; the weights before it make values "
                      "overflow: look at them, or leave this text out",
                      where, static_cast<int64_t>(i) % cols,
                      token_name(first + static_cast<int64_t>(i) / cols, lengths), x[i]));
}

// Of the i-th of kSample equal runs of tokens, one whose place in the run changes from run to run: samples of
// calibration are as long as each other, and their first tokens are like no others.
int64_t sample_token(int64_t i, int64_t tokens) {
  constexpr double kGolden = 0.6180339887498949;
  const double place = static_cast<double>(i) * kGolden;
  return static_cast<int64_t>((static_cast<double>(i) + place - std::floor(place)) *
                              static_cast<double>(tokens) / InputStatistics::kSample);
}

}  // namespace

struct InputStatistics::Kept {
  double damp;
  bool by_importance;
  Feedback feedback;
};

InputStatistics::InputStatistics(int64_t tokens, int64_t cols, const std::string& where,
                                 const model::Backend& backend, bool with_gram)
    : backend_(backend),
      cols_(cols),
      tokens_(tokens),
      where_(where),
      gram_(with_gram ? static_cast<size_t>(cols * cols) : 0),
      diagonal_(static_cast<size_t>(cols)),
      mean_(static_cast<size_t>(cols)),
      max_(static_cast<size_t>(cols)),
      sums_(static_cast<size_t>(cols)),
      squares_(static_cast<size_t>(cols)) {}

InputStatistics::InputStatistics(std::span<const float> x, int64_t cols, const std::string& where,
                                 const model::Backend& backend)
    : InputStatistics(static_cast<int64_t>(x.size()) / cols, cols, where, backend, true) {
  see(x, {});
  finish();
}

InputStatistics::InputStatistics(const model::StateArray& x, int64_t cols, std::span<const int64_t> lengths,
                                 const std::string& where, const model::Backend& backend, bool with_gram)
    : InputStatistics(static_cast<int64_t>(x.size()) / cols, cols, where, backend, with_gram) {
  x.on_host() ? see_pieces(x.host(), lengths) : see_placed(x, lengths);
  finish();
}

void InputStatistics::see_pieces(const base::FloatArray& x, std::span<const int64_t> lengths) {
  const size_t step = x.in_memory() ? x.size() : static_cast<size_t>(kTokens * cols_);
  for (size_t first = 0; first < x.size(); first += step) {
    const size_t count = std::min(step, x.size() - first);
    see(x.values().subspan(first, count), lengths);
    x.release(first, count);
  }
}

void InputStatistics::see(std::span<const float> x, std::span<const int64_t> lengths) {
  const int64_t tokens = static_cast<int64_t>(x.size()) / cols_;
  backend_.host_kernels().add_magnitudes(x.data(), tokens, cols_,
                                         {sums_.data(), squares_.data(), max_.data()}, *backend_.pool);
  if (!all_finite(sums_)) check_finite(x, cols_, seen_, lengths, where_);
  if (!gram_.empty()) add_gram(x, cols_, gram_, backend_);
  const int64_t end = seen_ + tokens;
  for (; sampled_ < kSample && sample_token(sampled_, tokens_) < end; ++sampled_) {
    const auto token = x.begin() + (sample_token(sampled_, tokens_) - seen_) * cols_;
    sample_.insert(sample_.end(), token, token + cols_);
  }
  seen_ = end;
}

// All at once, where it lies.
void InputStatistics::see_placed(const model::StateArray& x, std::span<const int64_t> lengths) {
  const model::ColumnMagnitudes found(backend_, cols_);
  found.add(x.on_device(), tokens_);
  found.sums.read(sums_);
  found.squares.read(squares_);
  found.largest.read(max_);
  if (!all_finite(sums_)) {
    std::vector<float> values(x.size());
    x.read(0, values);
    check_finite(values, cols_, 0, lengths, where_);
  }
  if (!gram_.empty()) add_placed_gram(x.on_device(), tokens_, cols_, gram_, backend_);
  const size_t n = sums_.size();
  sample_.resize(static_cast<size_t>(kSample) * n);
  for (int64_t i = 0; i < kSample; ++i)
    x.read(static_cast<size_t>(sample_token(i, tokens_)) * n,
           std::span(sample_).subspan(static_cast<size_t>(i) * n, n));
}

void InputStatistics::finish() {
  AQ_CHECK(tokens_ > 0, "no tokens");
  for (int64_t c = 0; c < cols_; ++c) {
    const auto at = static_cast<size_t>(c);
    mean_[at] = static_cast<float>(sums_[at] / static_cast<double>(tokens_));
    diagonal_[at] = static_cast<float>(squares_[at]);
  }
  sums_ = squares_ = {};
}

double InputStatistics::output_error(std::span<const float> error) const {
  if (!gram_.empty()) return quadratic_form(error, gram_, cols_, backend_);
  const int64_t rows = static_cast<int64_t>(error.size()) / cols_;
  const std::vector<float> columns = model::transposed(sample_.data(), kSample, cols_, *backend_.pool);
  std::vector<float> outputs(static_cast<size_t>(rows * kSample));
  model::add_product(error.data(), columns.data(), outputs.data(), rows, kSample, cols_, backend_);
  double sum = 0;
  for (const float output : outputs) sum += double{output} * double{output};
  return sum * static_cast<double>(tokens_) / kSample;
}

const Feedback* InputStatistics::last_feedback() const { return kept_ ? &kept_->feedback : nullptr; }

void InputStatistics::divide(std::span<const float> scales) {
  AQ_CHECK(static_cast<int64_t>(scales.size()) == cols_, "{} scales", scales.size());
  const auto n = static_cast<size_t>(cols_);
  for (size_t i = 0; i < gram_.size(); ++i) gram_[i] /= scales[i / n] * scales[i % n];
  for (size_t i = 0; i < n; ++i) {
    diagonal_[i] /= scales[i] * scales[i];
    mean_[i] /= scales[i];
    max_[i] /= scales[i];
  }
  for (size_t i = 0; i < sample_.size(); ++i) sample_[i] /= scales[i % n];
  kept_.reset();
}

const Feedback& InputStatistics::feedback(double damp, bool by_importance) const {
  AQ_CHECK(!gram_.empty(), "{}: no Gram matrix was kept", where_);
  if (kept_ && kept_->damp == damp && kept_->by_importance == by_importance) return kept_->feedback;
  Feedback result;
  const auto n = static_cast<size_t>(cols_);
  result.order.resize(n);
  std::iota(result.order.begin(), result.order.end(), 0);
  if (by_importance)
    std::stable_sort(result.order.begin(), result.order.end(), [&](int64_t a, int64_t b) {
      return diagonal_[static_cast<size_t>(a)] > diagonal_[static_cast<size_t>(b)];
    });
  base::HugeVector<float> ordered(n * n);
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < n; ++j)
      ordered[i * n + j] =
          gram_[static_cast<size_t>(result.order[i]) * n + static_cast<size_t>(result.order[j])];
  const double mean = std::accumulate(diagonal_.begin(), diagonal_.end(), 0.0) / static_cast<double>(n);
  result.dead.resize(n);
  for (size_t i = 0; i < n; ++i)
    if (ordered[i * n + i] == 0) {
      ordered[i * n + i] = mean > 0 ? static_cast<float>(mean) : 1.0f;
      result.dead[static_cast<size_t>(result.order[i])] = 1;
    }
  std::optional<base::HugeVector<float>> factor;
  for (result.damping = damp;; result.damping = std::max(result.damping * 10, 1e-4)) {
    if (result.damping > kLargestDamping)
      throw base::BadInput(
          fmt::format("{}: {} calibration tokens give a matrix of inputs that is not positive definite even "
                      "with damping 1; "
                      "calibrate with more or other text",
                      where_, tokens_));
    factor = inverse_cholesky(ordered, cols_, result.damping * (mean > 0 ? mean : 1.0), backend_);
    if (factor) break;
  }
  if (result.damping != damp) {
    result.note = fmt::format(
        "inputs of {} tokens are not positive definite with damping {}; {} is used. More calibration text "
        "helps (at least {} tokens)",
        tokens_, damp, result.damping, cols_);
    base::warn("{}: {}", where_, result.note);
  }
  result.upper = std::move(*factor);
  result.diagonal.resize(n);
  for (size_t i = 0; i < n; ++i) {
    float* row = result.upper.data() + i * n;
    result.diagonal[i] = row[i];
    for (size_t j = i; j < n; ++j) row[j] /= result.diagonal[i];
  }
  const auto [least, most] = std::minmax_element(result.diagonal.begin(), result.diagonal.end());
  result.condition = std::pow(double{*most} / double{*least}, 2);
  kept_ = std::make_shared<const Kept>(Kept{damp, by_importance, std::move(result)});
  return kept_->feedback;
}

numeric::ActivationScheme calibrated_input(const numeric::Scheme& scheme, const InputStatistics* inputs) {
  if (!scheme.input.needs_calibration()) return scheme.input;
  AQ_CHECK(inputs, "a static input scheme without calibration");
  const auto seen = inputs->max_magnitude();
  return calibrated_input(scheme.input, *std::max_element(seen.begin(), seen.end()));
}

numeric::ActivationScheme calibrated_input(numeric::ActivationScheme input, float largest) {
  if (!input.needs_calibration()) return input;
  largest = std::max(largest, 1e-6f);
  input.static_scale =
      input.dynamic ? input.scale_format->max * input.format->max / largest : largest / input.format->max;
  return input;
}

}  // namespace aquatint::quant
