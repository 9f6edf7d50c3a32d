#include <fmt/format.h>

#include <cmath>

#include "plan/deploy/engine.h"
#include "plan/handover.h"

namespace aquatint::plan {
namespace {

std::string row(std::string_view what, const std::string& value) {
  return fmt::format("| {} | {} |\n", what, value);
}

std::string milliseconds(double seconds) { return fmt::format("{:.0f} ms", seconds * 1e3); }

std::string within(double is, double limit) {
  return limit > 0 ? fmt::format("{} (limit {})", milliseconds(is), milliseconds(limit)) : milliseconds(is);
}

// Predictions, as the plan gave them.
std::string figures(const Deployment& d) {
  const Candidate& c = d.candidate;
  const Traffic& traffic = d.question.traffic;
  std::string text = "| planned | |\n|---|---|\n";
  text += row("a request",
              fmt::format("{:.0f} tokens in, {:.0f} out", traffic.prompt_tokens, traffic.generate_tokens));
  if (traffic.requests_per_second > 0)
    text += row("load", fmt::format("{:.3g} requests a second, {:.3g} at peak", traffic.requests_per_second,
                                    traffic.requests_per_second * traffic.peak));
  text += row("replicas", fmt::format("{} of {} x {}", c.replicas, c.count, c.gpu));
  text += row("weights",
              fmt::format("{:.1f} GB, {:.1f} GB a card", c.weight_bytes * 1e-9, c.memory.weights * 1e-9));
  text +=
      row("room for keys and values", fmt::format("{:.1f} GB a card: {:.0f} tokens", c.memory.cache * 1e-9,
                                                  c.memory.cache / c.memory.cache_per_token));
  text += row("longest request that fits", fmt::format("{:.0f} tokens", c.longest_context));
  text += row("requests at once", fmt::format("{:.0f} of each replica under the load, at most {}",
                                              c.loaded.sequences, d.max_sequences()));
  text += row("time to first token", within(c.loaded.first_token, d.question.limits.first_token));
  text += row("time per output token", within(c.loaded.token, d.question.limits.token));
  text +=
      row("generated at most", fmt::format("{:.0f} tokens/s of each replica", c.at_most.tokens_per_second));
  if (std::isfinite(c.quality.recovery))
    text += row("quality kept", fmt::format("{:.1f} % ({})", c.quality.recovery * 100, c.quality.source));
  if (std::isfinite(c.cost.per_month)) text += row("cost", fmt::format("{:.0f} a month", c.cost.per_month));
  return text;
}

std::string checkpoint_section(const Deployment& d) {
  if (!d.candidate.choice.quantized())
    return fmt::format("## The checkpoint\nThe model as it is: `{}`.\n", d.model);
  return fmt::format(
      "## The checkpoint\nOnce, on any machine that holds the model:\n\n```sh\n"
      "aquatint quantize {} --recipe recipe.yaml --to {}\n"
      "aquatint inspect {}\n```\n",
      shell_word(d.model), shell_word(d.checkpoint()), shell_word(d.checkpoint()));
}

std::string replicas_note(const DeployEngine& engine, const Deployment& d) {
  const bool one_machine = engine.command == "./serve.sh";
  if (d.candidate.replicas == 1 || !one_machine) return "";
  return fmt::format("\nThe load needs {} of these, each on its own {} x {}, behind a load balancer.\n",
                     d.candidate.replicas, d.candidate.count, d.candidate.gpu);
}

}  // namespace

std::string readme(const DeployEngine& engine, const Deployment& d) {
  return fmt::format(
      "# {}, by {}\n\n"
      "Why this one: {}.\n\n"
      "```sh\n{}\n```\n{}\n"
      "It answers as OpenAI's API does, at `/v1`.\n\n"
      "## What it was planned for\n{}\n"
      "Predictions of `aquatint plan`, not measurements.\n\n"
      "{}\n"
      "## What to check first\n"
      "{}"
      "- `aquatint load URL` under the planned load: time to first token and time per output token are the "
      "planned ones.\n"
      "- Answers of the quantized model beside the 16-bit one's: `aquatint eval` says what was lost.\n",
      d.title(), engine.title, d.candidate.reason, engine.command, replicas_note(engine, d), figures(d),
      checkpoint_section(d), engine.checks);
}

}  // namespace aquatint::plan
