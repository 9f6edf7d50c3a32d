#include "plan/cost.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace aquatint::plan {
namespace {

constexpr double kHoursPerMonth = 730, kDaysPerMonth = 365.0 / 12, kSecondsPerHour = 3600;

// Published times of llm-compressor on one A100 with an 8B model, calibrated by 512 samples of 2048 tokens
// (docs/guides/runtime.md, 2026).
constexpr double kPublishedParameters = 8.03e9;
constexpr double kPublishedRate = 312e12;  // BF16 operations/s of that card
struct Method {
  const char* name;
  double minutes;
};
constexpr Method kRtn{"rtn", 1}, kGptq{"gptq", 30}, kSmoothed{"smoothquant, gptq", 30};

// What docs/methods.md found best of the methods that every server loads.
Method method_of(const numeric::Scheme& scheme) {
  const bool integer_weights = scheme.weights.format->kind == numeric::Kind::integer;
  if (!integer_weights || scheme.weights.format->bits == 8)
    return scheme.input.format && integer_weights ? kSmoothed : kRtn;
  return kGptq;
}

// Our own quantizer on a processor, by 128 samples of 2048 tokens: twice what the products of a pass and of
// the Gram matrices, half as many, take at the peak of FP32 (docs/kernels/quantizers.md); an 8B model is
// rounded in 204 s.
constexpr double kOwnTokens = 128.0 * 2048, kOwnOperations = 3, kOwnOverPeak = 2, kOwnRounded = 4e7;

double own_hours(const Shape& shape, const Method& method, const Device& device) {
  double seconds = shape.quantized_weights() / kOwnRounded;
  if (method.minutes > kRtn.minutes) {
    double passed = 0;
    for (const Matrices& m : shape.matrices)
      if (m.quantized()) passed += m.passed_weights();
    seconds += kOwnOverPeak * kOwnOperations * passed * kOwnTokens / device.rate("fp32");
  }
  return seconds / kSecondsPerHour;
}

// Tokens of perplexity and tasks, for the model before and after.
constexpr double kEvaluationTokens = 2 * 5e6;

double evaluation_hours(const Shape& shape, const Device& device, const Efficiency& efficiency) {
  const double rate = std::max(device.rate("bf16"), device.rate("fp32"));
  return 2 * shape.active_parameters() * kEvaluationTokens / (rate * efficiency.of("bf16")) / kSecondsPerHour;
}

// A block in 16 bits and again as it is rounded, and the Gram matrix of the widest input.
double block_by_block_bytes(const Shape& shape) {
  int64_t widest = 0;
  for (const Matrices& m : shape.matrices)
    if (m.quantized()) widest = std::max(widest, m.cols);
  const double block = shape.quantized_weights() / static_cast<double>(shape.layers);
  return 2 * 2 * block + 4 * static_cast<double>(widest) * static_cast<double>(widest);
}

}  // namespace

Cost cost_of(const Device& device, int cards, double price_per_hour, double tokens_per_second) {
  Cost c;
  c.per_hour = cards * price_per_hour;
  c.per_month = c.per_hour * kHoursPerMonth;
  c.watts = cards * device.watts;
  c.per_million_tokens = c.per_hour / (tokens_per_second * kSecondsPerHour) * 1e6;
  c.joules_per_token = c.watts / tokens_per_second;
  return c;
}

Effort effort_of(const Shape& shape, const Choice& choice, const Device& device, double price_per_hour,
                 const Efficiency& efficiency) {
  Effort e;
  if (!choice.quantized()) return e;
  const Method method = method_of(*choice.scheme);
  const double rate = std::max(device.rate("bf16"), device.rate("fp32"));
  e.method = method.name;
  const bool own = !efficiency.kernels.empty();  // a processor that was measured
  e.quantize_hours =
      own ? own_hours(shape, method, device)
          : method.minutes / 60 * shape.parameters() / kPublishedParameters * kPublishedRate / rate;
  e.evaluate_hours = evaluation_hours(shape, device, efficiency);
  e.memory_bytes = block_by_block_bytes(shape);
  e.price = (e.quantize_hours + e.evaluate_hours) * price_per_hour;
  e.source = own ? "measured multiple of the quantizer's arithmetic, 128 samples of 2048 tokens"
                 : "llm-compressor's published times for 8B on an A100, scaled by parameters and 16-bit rate";
  return e;
}

double payback_days(double spent, double before_per_month, double after_per_month) {
  const double saved = before_per_month - after_per_month;
  return saved > 0 ? spent / saved * kDaysPerMonth : NAN;
}

}  // namespace aquatint::plan
