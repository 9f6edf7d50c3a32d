// The roofline of one step: every phase takes the slower of its memory traffic and its arithmetic.
#include <algorithm>
#include <array>
#include <cmath>

#include "plan/engine.h"

namespace aquatint::plan {
namespace {

constexpr double kOperations = 2;        // of a multiply-add
constexpr double kActivation = 2;        // bytes, between cards
constexpr int kCollectivesPerLayer = 2;  // after attention's output and after the MLP's

constexpr double kFewRows = 8;  // that a CPU's pass over the weights serves

// Experts that at least one of `tokens` passes, when each token takes any of them alike.
double touched(const Matrices& m, double tokens, double experts_share) {
  if (m.part != Part::expert) return 1;
  return 1 - std::pow(1 - experts_share, tokens);
}

// The slower of two that overlap, and a little more where they take alike: at the ridge neither is kept busy
// all the time (a norm of order 4, a fifth more at the ridge itself).
double overlapped(double a, double b) {
  const double a2 = a * a, b2 = b * b;
  return std::sqrt(std::sqrt(a2 * a2 + b2 * b2));
}

struct Phase {
  double memory = 0, arithmetic = 0;
  double seconds() const { return overlapped(memory, arithmetic); }
};

class StepModel {
 public:
  StepModel(const Engine& engine, const Step& step)
      : e_(engine), shape_(*engine.shape), device_(*engine.device), s_(step) {}

  StepTime time() const {
    StepTime t;
    const KernelSpeed* kernel = kernel_of(e_.choice.scheme ? e_.choice.scheme->name : "BF16");
    kernel ? measured_linears(*kernel, t) : linears(t);
    t.head = kernel ? measured(*kernel_of("head"), head_weights(), head_rows(), 0) : head().seconds();
    t.attention = decode_attention() + prompt_attention();
    t.collectives = collectives();
    t.overhead = e_.efficiency.step_seconds + e_.efficiency.sequence_seconds * s_.sequences;
    return t;
  }

 private:
  double tokens() const { return s_.sequences + s_.prompt_tokens; }
  double bandwidth(double share) const { return device_.bandwidth * share * e_.count; }

  void linears(StepTime& t) const {
    const double rate = e_.run.rate * e_.efficiency.of(e_.run.format) *
                        (e_.run.dequantized ? e_.efficiency.dequantizing : 1) * e_.count;
    const double wide = plain_rate(e_, e_.efficiency.head);
    double memory = 0, arithmetic = 0;
    for (const Matrices& m : shape_.matrices) {
      if (m.part == Part::embedding || m.part == Part::head) continue;
      const Phase phase = {matrices_bytes(m) / bandwidth(e_.efficiency.weight_bandwidth),
                           kOperations * m.passed_weights() * tokens() / (m.quantized() ? rate : wide)};
      t.linears += phase.seconds();
      memory += phase.memory;
      arithmetic += phase.arithmetic;
    }
    t.linears_bound_by_memory = memory >= arithmetic;
  }

  const KernelSpeed* kernel_of(std::string_view what) const {
    return e_.efficiency.kernel(shape_.name, what);
  }

  // Generated rows stream the weights once for every eight of them; prompts run at the rate of products.
  double measured(const KernelSpeed& k, double weights, double rows, double prompt_rows) const {
    const double bytes = weights * k.bits / 8;
    const double one = bytes / k.one_row;
    const double eight = std::max(one, bytes / k.eight_rows);
    const double few = rows <= 0 ? 0 : one + (std::min(rows, kFewRows) - 1) / (kFewRows - 1) * (eight - one);
    return few * std::max(1.0, rows / kFewRows) + kOperations * weights * prompt_rows / k.prompt;
  }

  void measured_linears(const KernelSpeed& kernel, StepTime& t) const {
    double weights = 0;
    for (const Matrices& m : shape_.matrices)
      if (m.quantized() || m.part == Part::router)
        weights += m.part == Part::expert
                       ? std::max(m.passed_weights(), m.weights() * touched(m, s_.sequences, experts_share()))
                       : m.passed_weights();
    t.linears = measured(kernel, weights, s_.sequences, s_.prompt_tokens);
    t.linears_bound_by_memory = s_.prompt_tokens < kFewRows && s_.sequences < kFewRows;
  }

  double matrices_bytes(const Matrices& m) const {
    const double share = touched(m, tokens(), experts_share());
    return stored_bytes(e_, m) * static_cast<double>(m.count) * share;
  }

  double experts_share() const {
    return shape_.experts > 0
               ? static_cast<double>(shape_.experts_per_token) / static_cast<double>(shape_.experts)
               : 1;
  }

  double head_rows() const { return s_.sequences + s_.prompts_finished; }
  double head_weights() const {
    return static_cast<double>(shape_.vocabulary) * static_cast<double>(shape_.hidden);
  }

  Phase head() const {
    const double rows = head_rows(), weights = head_weights();
    if (rows <= 0) return {};
    return {weights * e_.choice.plain->bytes() / bandwidth(e_.efficiency.weight_bandwidth),
            kOperations * weights * rows / plain_rate(e_, e_.efficiency.head)};
  }

  // Cards beyond the number of heads read copies.
  double attention_cards() const { return static_cast<double>(std::min<int64_t>(e_.count, shape_.kv_heads)); }

  double decode_attention() const {
    if (s_.sequences <= 0) return 0;
    const double bytes = s_.sequences * cache_bytes(shape_, e_.choice, s_.context);
    double macs = 0;
    for (const CacheLayers& layers : shape_.cache)
      macs += static_cast<double>(layers.layers) * layers.macs * within(layers, s_.context);
    return Phase{bytes / (device_.bandwidth * e_.efficiency.cache_bandwidth * attention_cards()),
                 kOperations * macs * s_.sequences / plain_rate(e_, e_.efficiency.attention)}
        .seconds();
  }

  double prompt_attention() const {
    double macs = 0;
    for (const CacheLayers& layers : shape_.cache) {
      const double most =
          layers.window > 0 ? s_.prompt_tokens * static_cast<double>(layers.window) : s_.prompt_positions;
      macs += static_cast<double>(layers.layers) * layers.prompt_macs * std::min(s_.prompt_positions, most);
    }
    return kOperations * macs / plain_rate(e_, e_.efficiency.attention);
  }

  static double within(const CacheLayers& layers, double context) {
    return layers.window > 0 ? std::min(context, static_cast<double>(layers.window)) : context;
  }

  // Partial sums leave a card once and the sum comes back, both ways at once (reduction in the switch, or a
  // pipeline that hides its length): what fits published rates better than a ring's 2 (n − 1) / n.
  double collectives() const {
    if (e_.count == 1) return 0;
    const double bytes = tokens() * static_cast<double>(shape_.hidden) * kActivation;
    const double transfer = bytes / (device_.link_bandwidth * e_.efficiency.link);
    return static_cast<double>(kCollectivesPerLayer * shape_.layers) *
           (e_.efficiency.collective_seconds + transfer);
  }

  const Engine& e_;
  const Shape& shape_;
  const Device& device_;
  const Step& s_;
};

}  // namespace

Engine make_engine(const Shape& shape, const Choice& choice, const Device& device, int count,
                   const Efficiency& efficiency) {
  return {.shape = &shape,
          .choice = choice,
          .device = &device,
          .count = count,
          .efficiency = efficiency,
          .run = execution(choice, device),
          .weights = fitted_weights(shape, choice)};
}

double plain_rate(const Engine& e, double share) {
  const std::string_view format = e.choice.plain == &numeric::fp32 ? "fp32" : "bf16";
  return std::max(e.device->rate(format), e.device->rate("fp32")) * share * e.count;
}

double stored_bytes(const Engine& e, const Matrices& m) {
  return m.quantized() && e.choice.quantized()
             ? matrix_bytes(m.rows, m.cols, e.weights)
             : static_cast<double>(m.rows * m.cols) * e.choice.plain->bytes();
}

StepTime step_time(const Engine& engine, const Step& step) { return StepModel(engine, step).time(); }

double prefill_seconds(const Engine& engine, double prompt_tokens) {
  return step_time(engine, {.prompt_tokens = prompt_tokens,
                            .prompt_positions = prompt_tokens * (prompt_tokens + 1) / 2,
                            .prompts_finished = 1})
      .total();
}

double token_seconds(const Engine& engine, double sequences, double context) {
  return step_time(engine, {.sequences = sequences, .context = context}).total();
}

std::string bound_by(const StepTime& t) {
  struct Named {
    double seconds;
    const char* name;
  };
  const std::array parts = {
      Named{t.linears, t.linears_bound_by_memory ? "memory bandwidth: weights" : "arithmetic: linears"},
      Named{t.head, "output head"}, Named{t.attention, "memory bandwidth: keys and values"},
      Named{t.collectives, "link between cards"}, Named{t.overhead, "overhead of a step"}};
  return std::max_element(parts.begin(), parts.end(),
                          [](const Named& a, const Named& b) { return a.seconds < b.seconds; })
      ->name;
}

}  // namespace aquatint::plan
