#include "bench/workload.h"
#include "numeric/scheme.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/rng.h"
#include "base/statistics.h"

namespace aquatint::bench {
namespace {

// A decode's warm-up: enough to touch every weight and settle the threads.
constexpr int kWarmupSteps = 4;
// Prompts run through the model this many tokens at a time (whole prompts), so that the states handed back
// stay small.
constexpr int64_t kPrefillRows = 2048;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

void check(const model::Config& config, const Workload& w) {
  if (w.prompt_tokens < 0 || w.generate_tokens < 0 || w.prompt_tokens + w.generate_tokens == 0)
    throw base::BadUsage(
        fmt::format("bench: {} prompt and {} generated tokens leave nothing to measure; give "
                    "--prompt-tokens or --generate-tokens",
                    w.prompt_tokens, w.generate_tokens));
  if (w.repeats < 1 || w.warmups < 0)
    throw base::BadUsage(fmt::format("bench: {} repeats, expected 1 or more", w.repeats));
  if (w.batches.empty()) throw base::BadUsage("bench: no batch size given, expected --batch 1,8");
  for (const int batch : w.batches)
    if (batch < 1 || batch > 4096)
      throw base::BadUsage(fmt::format("bench: batch {}, expected 1 to 4096", batch));
  if (w.depth < 0) throw base::BadUsage(fmt::format("bench: depth {}, expected 0 or more", w.depth));
  const int64_t longest = int64_t{w.depth} + std::max(w.prompt_tokens, w.generate_tokens);
  if (config.max_positions > 0 && longest > config.max_positions)
    throw base::BadUsage(fmt::format("bench: {} tokens, but the model has {} positions; shorten the workload",
                                     longest, config.max_positions));
}

void check_memory(const model::Model& model, int64_t tokens, int batch) {
  const uint64_t one = model::KvCache::bytes(model.config(), tokens, model.backend().kv_format());
  const auto caches = base::checked_mul(one, static_cast<uint64_t>(batch));
  if (const kernels::Memory& memory = model.backend().memory(); !memory.is_host()) {
    if (!caches || *caches > memory.left())
      throw base::OutOfResource(fmt::format(
          "bench: batch {} of {} tokens needs {} MB of key-value caches, the GPU has {} MB left beside the "
          "weights; lower --batch or the tokens",
          batch, tokens, caches.value_or(UINT64_MAX) / 1'000'000, memory.left() / 1'000'000));
    return;
  }
  const uint64_t total = base::total_ram_bytes();
  if (!caches || *caches > total || *caches + model.weight_bytes() > total)
    throw base::OutOfResource(fmt::format(
        "bench: batch {} of {} tokens needs {} MB of key-value caches beside {} MB of weights, the machine "
        "has {} MB; "
        "lower --batch or the tokens",
        batch, tokens, caches.value_or(UINT64_MAX) >> 20, model.weight_bytes() >> 20, total >> 20));
}

// B sequences that start over for each repeat.
class Batch {
 public:
  Batch(model::Model& model, const Workload& w, int batch)
      : model_(model),
        batch_(batch),
        prompt_(w.prompt_tokens),
        generate_(w.generate_tokens),
        depth_(w.depth) {
    const model::Config& config = model.config();
    const int64_t timed = std::max(prompt_, generate_), capacity = depth_ + timed;
    check_memory(model, capacity, batch);
    for (int i = 0; i < batch; ++i) caches_.push_back(model.cache(capacity, depth_ > 0 ? timed : 0));
    base::Rng rng(w.seed);
    tokens_.resize(static_cast<size_t>(capacity * batch));
    for (int32_t& token : tokens_)
      token = static_cast<int32_t>(rng.below(static_cast<uint64_t>(config.vocab_size)));
    together_ = std::clamp<int64_t>(prompt_ > 0 ? kPrefillRows / prompt_ : 1, 1, batch);
    hidden_.resize(static_cast<size_t>(batch * config.hidden_size));
    last_.resize(static_cast<size_t>(batch * config.hidden_size));
    logits_.resize(static_cast<size_t>(batch * config.vocab_size));
    fill_contexts();
  }

  void prefill() {
    start_over();
    const int64_t width = model_.config().hidden_size;
    for (int64_t first = 0; first < batch_; first += together_) {
      const int64_t count = std::min<int64_t>(together_, batch_ - first);
      std::vector<model::Segment> segments;
      for (int64_t i = 0; i < count; ++i)
        segments.push_back({&caches_[static_cast<size_t>(first + i)], prompt_});
      model_.forward_last(std::span(tokens_).subspan(static_cast<size_t>(first * prompt_),
                                                     static_cast<size_t>(count * prompt_)),
                          segments, kernels::Phase::prefill, last_.data() + first * width);
    }
    model_.logits(last_.data(), batch_, kernels::Phase::prefill, logits_.data());
  }

  void decode(int64_t steps) {
    start_over();
    std::vector<model::Segment> segments;
    for (model::KvCache& cache : caches_) segments.push_back({&cache, 1});
    const bool on_host = model_.backend().memory().is_host();
    std::vector<int32_t> next(segments.size());
    for (int64_t step = 0; step < steps; ++step) {
      const auto tokens =
          std::span(tokens_).subspan(static_cast<size_t>(step * batch_), static_cast<size_t>(batch_));
      if (on_host) {
        model_.forward(tokens, segments, kernels::Phase::decode, hidden_.data());
        model_.logits(hidden_.data(), batch_, kernels::Phase::decode, logits_.data());
      } else {
        model_.next_tokens(tokens, segments, next.data());
      }
      base::throw_if_stopped();
    }
  }

 private:
  void fill_contexts() {
    for (size_t i = 0; i < caches_.size(); ++i)
      for (int64_t done = 0; done < depth_; done += kPrefillRows) {
        const int64_t rows = std::min(kPrefillRows, depth_ - done);
        const model::Segment segment{&caches_[i], rows};
        model_.forward_last(std::span(tokens_).subspan(static_cast<size_t>(done), static_cast<size_t>(rows)),
                            {&segment, 1}, kernels::Phase::prefill, last_.data());
        base::progress("filling contexts", done + rows, depth_, "tokens");
        base::throw_if_stopped();
      }
  }

  void start_over() {
    for (model::KvCache& cache : caches_) cache.truncate(depth_);
  }

  model::Model& model_;
  int64_t batch_, prompt_, generate_, depth_, together_ = 1;
  std::vector<model::KvCache> caches_;
  std::vector<int32_t> tokens_;
  std::vector<float> hidden_, last_, logits_;
};

std::vector<double> rates(const std::string& activity, int repeats, int64_t tokens,
                          const std::function<void()>& body) {
  std::vector<double> samples;
  for (int i = 0; i < repeats; ++i) {
    base::progress(activity, i, repeats, "runs");
    const auto start = base::Clock::now();
    body();
    samples.push_back(static_cast<double>(tokens) / base::seconds_since(start));
  }
  base::progress(activity, repeats, repeats, "runs");
  return samples;
}

double peak_of(const Peaks& peaks, const std::string& type) {
  for (const TypePeak& peak : peaks.flop_s)
    if (peak.type == type) return peak.flop_s;
  return kNaN;
}

Run measure(model::Model& model, const Workload& w, int size) {
  Batch batch(model, w, size);
  Run run{size, w.prompt_tokens, w.generate_tokens, w.depth, {}, {}, kNaN, kNaN};
  if (w.prompt_tokens > 0) {
    for (int i = 0; i < w.warmups; ++i) batch.prefill();
    run.prefill = rates(fmt::format("prefill, batch {}", size), w.repeats, int64_t{size} * w.prompt_tokens,
                        [&] { batch.prefill(); });
  }
  if (w.generate_tokens > 0) {
    for (int i = 0; i < w.warmups; ++i) batch.decode(std::min(kWarmupSteps, w.generate_tokens));
    run.decode = rates(fmt::format("decode, batch {}", size), w.repeats, int64_t{size} * w.generate_tokens,
                       [&] { batch.decode(w.generate_tokens); });
  }
  return run;
}

// Leaves NaN where a rate or a peak is not known.
void utilize(const model::Model& model, const Workload& w, const Peaks& peaks, Run& run) {
  const std::string precision = model.backend().precision == kernels::Precision::fp32 ? "fp32" : "bf16";
  const double flops = 2.0 * static_cast<double>(block_parameters(model.config()));
  run.flop_utilization = flops * base::summarize(run.prefill).mean /
                         peak_of(peaks, w.arithmetic.empty() ? precision : w.arithmetic);
  const double steps = base::summarize(run.decode).mean / run.batch;
  if (peaks.read_gb_s > 0)
    run.bandwidth_utilization =
        static_cast<double>(model.bytes_per_decode()) * steps / (peaks.read_gb_s * 1e9);
}

base::Json number(double value) { return std::isfinite(value) ? base::Json(value) : base::Json(); }

base::Json rate_json(const std::vector<double>& samples) {
  if (samples.empty()) return {};
  const base::Summary s = base::summarize(samples);
  return {{"mean", number(s.mean)}, {"std", number(s.std)}, {"samples", samples}};
}

}  // namespace

std::string arithmetic_of(std::string_view scheme) {
  const numeric::Scheme* known = numeric::find_scheme(scheme);
  return known && known->input.format == &numeric::int8 ? "int8" : "";
}

int64_t block_parameters(const model::Config& c) {
  const int64_t attention = c.hidden_size * c.head_dim * (2 * c.heads + 2 * c.kv_heads);
  return c.layers * (attention + 3 * c.hidden_size * c.intermediate_size);
}

BenchResult run_workload(model::Model& model, const Workload& workload, Peaks peaks) {
  check(model.config(), workload);
  BenchResult result;
  result.weight_bytes = model.weight_bytes();
  result.kernels = model.backend().kernels->name;
  result.kv_format = kernels::name(model.backend().kv_format());
  for (const int batch : workload.batches) result.runs.push_back(measure(model, workload, batch));
  result.peak_ram_bytes = base::peak_ram_bytes();
  const kernels::Memory& memory = model.backend().memory();
  result.peak_device_bytes = memory.peak();
  if (memory.is_host() && peaks.read_gb_s == 0 && workload.generate_tokens > 0)
    measure_read(*model.backend().pool, model.bytes_per_decode(), peaks);
  for (Run& run : result.runs) utilize(model, workload, peaks, run);
  result.peaks = std::move(peaks);
  return result;
}

base::Json to_json(const BenchResult& result) {
  base::Json runs = base::Json::array();
  for (const Run& run : result.runs)
    runs.push_back({{"batch", run.batch},
                    {"prompt_tokens", run.prompt_tokens},
                    {"generate_tokens", run.generate_tokens},
                    {"depth", run.depth},
                    {"prefill_tokens_per_second", rate_json(run.prefill)},
                    {"decode_tokens_per_second", rate_json(run.decode)},
                    {"bandwidth_utilization", number(run.bandwidth_utilization)},
                    {"flop_utilization", number(run.flop_utilization)}});
  return {{"peaks", to_json(result.peaks)},
          {"peak_ram_bytes", result.peak_ram_bytes},
          {"peak_device_bytes", result.peak_device_bytes},
          {"weight_bytes", result.weight_bytes},
          {"kernels", result.kernels},
          {"kv_format", result.kv_format},
          {"runs", runs}};
}

}  // namespace aquatint::bench
