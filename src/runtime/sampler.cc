#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "base/error.h"

namespace aquatint::runtime {
namespace {

int32_t largest(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace

void check(const SamplingOptions& o) {
  if (!(o.temperature >= 0) || !std::isfinite(o.temperature))
    throw base::BadUsage(fmt::format("temperature is {}, expected 0 (greedy) or more", o.temperature));
  if (o.top_k < 0) throw base::BadUsage(fmt::format("top-k is {}, expected 0 (all) or more", o.top_k));
  if (!(o.top_p > 0 && o.top_p <= 1))
    throw base::BadUsage(fmt::format("top-p is {}, expected more than 0 and at most 1", o.top_p));
}

Sampler::Sampler(const SamplingOptions& options, uint64_t sequence)
    : options_(options), rng_(base::Rng(options.seed).next() + sequence) {
  check(options);
}

int32_t Sampler::sample(std::span<const float> logits) {
  AQ_CHECK(!logits.empty());
  if (options_.temperature == 0) return largest(logits);
  gather(logits);
  if (options_.top_p < 1) keep_top_p();
  double total = 0;
  for (const Candidate& c : candidates_) total += c.probability;
  double left = rng_.uniform() * total;
  for (const Candidate& c : candidates_)
    if ((left -= c.probability) < 0) return c.token;
  return candidates_.back().token;  // rounding left a last crumb
}

kernels::Draw Sampler::draw() {
  return {options_.temperature, options_.top_k, options_.top_p,
          options_.temperature > 0 ? rng_.uniform() : 0.0};
}

// The tokens that top-k leaves, in order of their ids.
void Sampler::gather(std::span<const float> logits) {
  float smallest = -std::numeric_limits<float>::infinity();
  if (options_.top_k > 0 && options_.top_k < static_cast<int64_t>(logits.size())) {
    scratch_.assign(logits.begin(), logits.end());
    const auto kth = scratch_.begin() + options_.top_k - 1;
    std::nth_element(scratch_.begin(), kth, scratch_.end(), std::greater<>());
    smallest = *kth;
  }
  const float peak = logits[static_cast<size_t>(largest(logits))];
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i)
    if (logits[i] >= smallest) {
      const float exponent = (logits[i] - peak) / options_.temperature;
      candidates_.push_back({static_cast<int32_t>(i), logits[i], std::exp(exponent)});
    }
}

// The likeliest tokens, up to and including the one that brings their sum to top_p.
void Sampler::keep_top_p() {
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  });
  double total = 0, sum = 0;
  for (const Candidate& c : candidates_) total += c.probability;
  size_t kept = 0;
  while (kept < candidates_.size() && sum < static_cast<double>(options_.top_p) * total)
    sum += candidates_[kept++].probability;
  candidates_.resize(kept);
}

}  // namespace aquatint::runtime
