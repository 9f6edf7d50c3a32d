#include "plan/text.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "report/table.h"

namespace aquatint::plan {
namespace {

using report::Align;

std::string milliseconds(double seconds) {
  if (!(seconds > 0)) return "";
  return fmt::format("{} ms", report::format_significant(seconds * 1e3, 3));
}

std::string gigabytes(double bytes) { return report::format_bytes(bytes); }

std::string quality_text(const Quality& q) {
  if (std::isnan(q.recovery)) return "?";
  if (q.basis == "exact") return "100 %";
  return fmt::format("{:.1f} % ({:.0f}–{:.0f})", q.recovery * 100, q.low * 100, q.high * 100);
}

std::string money(double value) {
  return std::isfinite(value) ? report::format_significant(value, value < 10 ? 2 : 4) : "";
}

std::string cards(const Candidate& c) {
  const std::string one = c.count > 1 ? fmt::format("{} x {}", c.count, c.gpu) : c.gpu;
  return c.replicas > 1 ? fmt::format("{} · ({})", c.replicas, one) : one;
}

std::string table(const Answer& a, size_t rows) {
  const bool many = a.question.models.size() > 1, priced = !a.question.prices.empty(),
             load = a.question.traffic.requests_per_second > 0;
  std::vector<report::Column> columns = {{"", Align::left}};
  if (many) columns.push_back({"model", Align::left});
  for (report::Column column : {report::Column{"scheme", Align::left},
                                {"cards", Align::left},
                                {"weights"},
                                {"most seqs"},
                                {"TTFT"},
                                {"TPOT"},
                                {"tok/s at most"},
                                {"quality"}})
    columns.push_back(std::move(column));
  if (priced) columns.push_back({load ? "a month" : "per M tokens"});
  columns.push_back({"J/token"});
  report::Table out(std::move(columns));
  for (size_t i = 0; i < std::min(rows, a.candidates.size()); ++i) {
    const Candidate& c = a.candidates[i];
    const bool front = std::ranges::find(a.pareto, i) != a.pareto.end();
    std::vector<std::string> cells = {fmt::format("{}{}", c.meets() ? "+" : "-", front ? "*" : "")};
    if (many) cells.push_back(a.question.models[c.model].name);
    const std::vector<std::string> rest = {
        c.choice.name,
        cards(c),
        gigabytes(c.weight_bytes),
        c.most_sequences >= 1 ? fmt::format("{:.0f}", c.most_sequences) : "none",
        milliseconds(c.loaded.first_token),
        milliseconds(c.loaded.token),
        c.at_most.sequences > 0 ? fmt::format("{:.0f}", c.at_most.tokens_per_second * c.replicas) : "",
        quality_text(c.quality)};
    cells.insert(cells.end(), rest.begin(), rest.end());
    if (priced) cells.push_back(money(load ? c.cost.per_month : c.cost.per_million_tokens));
    cells.push_back(c.cost.joules_per_token > 0 ? money(c.cost.joules_per_token) : "");
    out.add(std::move(cells));
  }
  return out.text();
}

// TPOT of the candidates as bars on a logarithmic scale, the limit as a mark.
std::string chart(const Answer& a, size_t rows) {
  constexpr int kWidth = 48;
  std::vector<const Candidate*> shown;
  for (const Candidate& c : a.candidates)
    if (c.loaded.sequences > 0 && shown.size() < rows) shown.push_back(&c);
  if (shown.empty()) return "";
  double low = INFINITY, high = 0;
  for (const Candidate* c : shown)
    low = std::min(low, c->loaded.token), high = std::max(high, c->loaded.token);
  const double limit = a.question.limits.token;
  if (limit > 0) low = std::min(low, limit), high = std::max(high, limit);
  const double from = std::log(low / 1.3), span = std::log(high) - from;
  const auto at = [&](double value) { return static_cast<int>(kWidth * (std::log(value) - from) / span); };
  std::string text =
      fmt::format("\nTPOT under the load, {} to {}, logarithmic{}\n", milliseconds(low), milliseconds(high),
                  limit > 0 ? fmt::format("; | is the limit of {}", milliseconds(limit)) : "");
  size_t width = 0;
  for (const Candidate* c : shown) width = std::max(width, c->choice.name.size() + cards(*c).size() + 1);
  for (const Candidate* c : shown) {
    std::string bar(static_cast<size_t>(kWidth + 1), ' ');
    std::fill(bar.begin(), bar.begin() + std::max(1, at(c->loaded.token)), '#');
    if (limit > 0) bar[static_cast<size_t>(std::clamp(at(limit), 0, kWidth))] = '|';
    bar.erase(bar.find_last_not_of(' ') + 1);
    text += fmt::format("  {:<{}}  {}\n", c->choice.name + " " + cards(*c), width, bar);
  }
  return text;
}

std::string reasons(const Answer& a, size_t rows) {
  std::string text = "\n";
  for (size_t i = 0; i < std::min(rows, a.candidates.size()); ++i) {
    const Candidate& c = a.candidates[i];
    text += fmt::format("  {} {}: {}\n", c.choice.name, cards(c), c.reason);
    for (const Miss& m : c.misses)
      if (!m.change.empty()) text += fmt::format("      {} would take {}\n", m.target, m.change);
    if (c.offload)
      text += fmt::format("      with {} a card in the host's memory: TTFT {}, TPOT {}\n",
                          gigabytes(c.offload->bytes_off), milliseconds(c.offload->prefill_seconds),
                          milliseconds(c.offload->token_seconds));
    if (!c.execution.note.empty()) text += fmt::format("      {}\n", c.execution.note);
  }
  return text;
}

std::string chosen_text(const Answer& a) {
  if (!a.chosen) return fmt::format("\n{}\n", a.closest);
  const Candidate& c = a.candidates[*a.chosen];
  std::string text = fmt::format(
      "\n{} in {} on {}: alone TTFT {}, TPOT {}; at most {:.0f} sequences, {:.0f} tok/s each engine; "
      "predictions are "
      "within about {:.0f} %\n",
      a.question.models[c.model].name, c.choice.name, cards(c), milliseconds(c.alone.first_token),
      milliseconds(c.alone.token), c.at_most.sequences, c.at_most.tokens_per_second,
      a.question.efficiency.band * 100);
  // Without a rate all requests wait from the start: their time to the first token says nothing.
  if (c.played && a.question.traffic.requests_per_second > 0)
    text += fmt::format(
        "played through step by step: TTFT {} at the median, {} at the 99th percentile; TPOT {}, {}\n",
        milliseconds(c.played->first_token.p50), milliseconds(c.played->first_token.p99),
        milliseconds(c.played->token.p50), milliseconds(c.played->token.p99));
  if (c.choice.quantized())
    text += fmt::format(
        "to get there: {} about {} on one such card, evaluation {}, in {} of its memory{}\n", c.effort.method,
        report::format_seconds(c.effort.quantize_hours * 3600),
        report::format_seconds(c.effort.evaluate_hours * 3600), gigabytes(c.effort.memory_bytes),
        std::isfinite(a.payback_days) ? fmt::format("; paid back after {:.1f} days", a.payback_days) : "");
  if (!c.quality.source.empty()) text += fmt::format("quality: {} ({})\n", c.quality.source, c.quality.basis);
  return text;
}

std::string training_text(const Answer& a) {
  std::string text =
      fmt::format("\nto train {} on sequences of 2048 tokens:", a.question.models.front().name);
  for (const TrainingMemory& t : a.training) text += fmt::format(" {} {},", t.mode, gigabytes(t.total()));
  text.back() = '\n';
  return text;
}

std::string head_text(const Answer& a) {
  std::string text;
  for (const Shape& shape : a.question.models) {
    const Choice plain = find_choice("BF16");
    text += fmt::format(
        "{}: {} parameters{}, {} of 16-bit keys and values a token\n", shape.name,
        report::format_count(shape.parameters()),
        shape.experts > 0 ? fmt::format(", {} active", report::format_count(shape.active_parameters())) : "",
        gigabytes(cache_bytes_per_token(shape, plain)));
  }
  const Traffic& t = a.question.traffic;
  return text + fmt::format("requests of {:.0f} + {:.0f} tokens{}\n\n", t.prompt_tokens, t.generate_tokens,
                            t.requests_per_second > 0
                                ? fmt::format(", {} a second, {} at peak",
                                              report::format_significant(t.requests_per_second, 3),
                                              report::format_significant(t.requests_per_second * t.peak, 3))
                                : ", as many as can be carried");
}

constexpr std::array<const char*, 9> kFormats = {"fp32", "tf32",     "bf16", "fp16",    "fp8_e4m3",
                                                 "int8", "fp6_e3m2", "int4", "fp4_e2m1"};

}  // namespace

std::string as_text(const Answer& answer, int rows) {
  const auto shown = static_cast<size_t>(std::max(1, rows));
  std::string text = head_text(answer) + table(answer, shown) +
                     "+ meets everything, - misses something, * on the Pareto front\n" +
                     chart(answer, shown) + reasons(answer, shown) + chosen_text(answer) +
                     training_text(answer);
  for (const std::string& finding : answer.findings) text += fmt::format("\n{}\n", finding);
  for (const Warning& warning : answer.warnings)
    text += fmt::format("\nwarning ({}): {}\n", warning.topic, warning.text);
  return text;
}

std::string device_table(const std::vector<Device>& devices) {
  report::Table table({{"device", Align::left},
                       {"architecture", Align::left},
                       {"memory"},
                       {"GB/s"},
                       {"link", Align::left},
                       {"GB/s"},
                       {"W"}});
  for (const Device& d : devices)
    table.add({d.name, d.architecture, gigabytes(d.memory_bytes), fmt::format("{:.0f}", d.bandwidth * 1e-9),
               d.link, fmt::format("{:.0f}", d.link_bandwidth * 1e-9),
               d.watts > 0 ? fmt::format("{:.0f}", d.watts) : ""});
  return table.text();
}

std::string support_table(const std::vector<Device>& devices) {
  std::vector<report::Column> columns = {{"dense Tflop/s", Align::left}};
  for (const char* format : kFormats) columns.push_back({format});
  report::Table table(std::move(columns));
  for (const Device& d : devices) {
    std::vector<std::string> cells = {d.name};
    for (const char* format : kFormats)
      cells.push_back(d.rate(format) > 0 ? report::format_significant(d.rate(format) * 1e-12, 4) : "-");
    table.add(std::move(cells));
  }
  return table.text() + "- has no such unit: products run in a wider format\n";
}

}  // namespace aquatint::plan
