// What would have to change, the six common mistakes, and what today's deployment says about itself.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "plan/candidate.h"

namespace aquatint::plan {
namespace {

constexpr double kSlow = 1.5;  // times what is predicted: something else is wrong

// The same in everything but one thing.
bool same_but_count(const Candidate& a, const Candidate& b) {
  return a.model == b.model && a.gpu == b.gpu && a.choice.name == b.choice.name && b.count > a.count;
}
bool same_but_choice(const Candidate& a, const Candidate& b) {
  return a.model == b.model && a.gpu == b.gpu && a.count == b.count && a.choice.name != b.choice.name;
}
bool same_but_gpu(const Candidate& a, const Candidate& b) {
  return a.model == b.model && a.gpu != b.gpu && a.count == b.count && a.choice.name == b.choice.name;
}

bool misses(const Candidate& c, std::string_view target) {
  return std::ranges::any_of(c.misses, [&](const Miss& m) { return m.target == target; });
}

// The first that differs in one thing and hits the target. Candidates are ranked, so it is the best such.
const Candidate* instead(const std::vector<Candidate>& candidates, const Candidate& c, const Miss& m,
                         bool (*differs)(const Candidate&, const Candidate&)) {
  for (const Candidate& other : candidates)
    if (differs(c, other) && !misses(other, m.target) && !misses(other, "memory") && !misses(other, "layout"))
      return &other;
  return nullptr;
}

// What binds a latency, and by which factor it would have to grow.
std::string factor_text(const Candidate& c, const Miss& m) {
  if (m.target == "tpot" || m.target == "ttft")
    return fmt::format("{:.1f} times as much of what binds it ({})", m.is / m.wanted,
                       m.target == "ttft" ? "arithmetic: prompts" : c.bound);
  if (m.target == "memory") return fmt::format("{:.1f} GB more a card", (m.is - m.wanted) * 1e-9);
  if (m.target == "budget") return fmt::format("a price {:.1f} times lower", m.is / m.wanted);
  return m.target == "quality" ? "calibration, a mixture by `aquatint sensitivity`, or training" : "";
}

std::string change_for(const std::vector<Candidate>& candidates, const Candidate& c, const Miss& m) {
  std::vector<std::string> ways;
  if (const Candidate* other = instead(candidates, c, m, same_but_count))
    ways.push_back(fmt::format("{} cards instead of {}", other->count, c.count));
  if (const Candidate* other = instead(candidates, c, m, same_but_choice))
    ways.push_back(fmt::format("{} instead of {}", other->choice.name, c.choice.name));
  if (const Candidate* other = instead(candidates, c, m, same_but_gpu))
    ways.push_back(fmt::format("{} instead of {}", other->gpu, c.gpu));
  if (std::string text = factor_text(c, m); !text.empty()) ways.push_back(std::move(text));
  return fmt::format("{}", fmt::join(ways, ", or "));
}

using Test = bool (*)(const Candidate&);
const Candidate* first(const std::vector<Candidate>& candidates, Test test) {
  const auto found = std::ranges::find_if(candidates, test);
  return found == candidates.end() ? nullptr : &*found;
}

bool rounds_to_integers(const Candidate& c) {
  return c.choice.scheme && c.choice.scheme->input.format &&
         c.choice.scheme->input.format->kind == numeric::Kind::integer;
}
bool widens_four_bits(const Candidate& c) {
  return c.choice.scheme && c.choice.scheme->weights.format->bits == 4 && c.execution.format != "int4" &&
         c.execution.format != "fp4_e2m1";
}
bool lacks_fp8(const Candidate& c) {
  return c.choice.scheme && c.choice.scheme->input.format == &numeric::fp8_e4m3 && !c.execution.native;
}
bool is_quantized(const Candidate& c) { return c.choice.quantized(); }
bool unmeasured(const Candidate& c) { return c.choice.quantized() && c.quality.basis != "study"; }
bool has_cache(const Candidate& c) { return c.most_sequences >= 1; }

// Sequences whose keys and values weigh as much as the weights.
std::string cache_text(const Question& question, const Candidate& c) {
  const double context = question.traffic.context();
  const double each = cache_bytes(question.models[c.model], c.choice, context);
  return fmt::format(
      "keys and values of {:.0f} tokens take {:.2f} GB a sequence, as much as the weights ({:.1f} GB) at "
      "{:.0f} "
      "sequences: quantizing weights does not shrink them, +KV8 or +KVFP8 halves them",
      context, each * 1e-9, c.weight_bytes * 1e-9, std::ceil(c.weight_bytes / each));
}

std::string current_text(const Question& question, const Current& current) {
  const Device& device = find_device(current.gpu);
  const Shape& shape = question.models.front();
  const Engine engine = make_engine(shape, current.choice, device, current.count, question.efficiency);
  const double expected = alone(engine, question.traffic).token;
  const double floor = weight_bytes(shape, current.choice) / (device.bandwidth * current.count);
  std::string text = fmt::format(
      "today, {} in {} on {} x {}: reading the weights once takes {:.0f} ms, a token should take {:.0f} ms",
      shape.name, current.choice.name, current.count, device.name, floor * 1e3, expected * 1e3);
  if (current.token_seconds <= 0) return text;
  text += fmt::format(", measured are {:.0f} ms: {:.1f} times the floor", current.token_seconds * 1e3,
                      current.token_seconds / floor);
  if (current.token_seconds > kSlow * expected)
    text += fmt::format(
        ". {:.0f} ms of it are not the model's bytes: the server (batching, kernels, links) comes before a "
        "format; "
        "8 bits instead of 16 take {:.0f} ms off, which leaves {:.0f} ms",
        (current.token_seconds - expected) * 1e3, floor / 2 * 1e3, (current.token_seconds - floor / 2) * 1e3);
  return text;
}

}  // namespace

void suggest_changes(const Question&, std::vector<Candidate>& candidates) {
  for (Candidate& c : candidates)
    for (Miss& m : c.misses) m.change = change_for(candidates, c, m);
}

std::vector<Warning> warnings_of(const Question& question, const std::vector<Candidate>& candidates) {
  std::vector<Warning> warnings;
  if (const Candidate* c = first(candidates, rounds_to_integers))
    warnings.push_back(
        {"activations", fmt::format("{} rounds inputs to integers: rounded as they come, outliers "
                                    "cost several points of perplexity; smooth or rotate first "
                                    "(--method smoothquant,gptq)",
                                    c->choice.name)});
  if (const Candidate* c = first(candidates, widens_four_bits))
    warnings.push_back(
        {"int4", fmt::format("{} on {} multiplies in {}: 4-bit weights save memory and bandwidth, not "
                             "arithmetic; prompts and large batches gain nothing",
                             c->choice.name, c->gpu, c->execution.format)});
  if (const Candidate* c = first(candidates, lacks_fp8))
    warnings.push_back({"fp8", fmt::format("{} has no FP8 units: {} runs there with 16-bit inputs; "
                                           "W8A8 uses its INT8 units",
                                           c->gpu, c->choice.name)});
  if (first(candidates, is_quantized))
    warnings.push_back(
        {"stale",
         "scales belong to the weights and inputs they were found with: after fine-tuning, or "
         "when traffic changes, quantize again (`aquatint inspect` says when they are stale)"});
  if (first(candidates, unmeasured))
    warnings.push_back({"sensitivity",
                        "quality is from publications, not of your model: run `aquatint sensitivity` "
                        "for fragile layers and `aquatint study` for the loss, then plan --study"});
  if (const Candidate* c = first(candidates, has_cache))
    warnings.push_back({"kv-cache", cache_text(question, *c)});
  return warnings;
}

std::vector<std::string> findings_of(const Question& question, const std::vector<Candidate>& candidates) {
  std::vector<std::string> findings;
  if (question.current) findings.push_back(current_text(question, *question.current));
  const double rate = question.traffic.requests_per_second;
  if (rate > 0 && !candidates.empty() && candidates.front().meets()) {
    const Candidate& best = candidates.front();
    const double capacity = best.at_most.tokens_per_second / question.traffic.generate_tokens * best.replicas;
    findings.push_back(
        fmt::format("the load is {:.2f} requests a second, {:.0f} % of what {} x {} in {} carries", rate,
                    rate / capacity * 100, best.count * best.replicas, best.gpu, best.choice.name));
  }
  return findings;
}

}  // namespace aquatint::plan
