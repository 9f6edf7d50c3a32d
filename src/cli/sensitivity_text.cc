#include "cli/sensitivity_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "report/table.h"

namespace aquatint::cli {
namespace {

using quant::Effect;
using quant::SchemeEffects;

constexpr std::array<std::string_view, 5> kShades = {"·", "░", "▒", "▓", "█"};
constexpr size_t kMostShown = 8;

std::string_view part_of(const Effect& effect) {
  const std::string_view module = effect.matrix.module;
  return module.substr(module.rfind('.') + 1);
}

std::string title_of(const numeric::Scheme& scheme) {
  return scheme.weights.group > 0 ? fmt::format("{} in groups of {}", scheme.name, scheme.weights.group)
                                  : std::string(scheme.name);
}

// Equal steps of the logarithm between the least and the largest divergence.
class Shades {
 public:
  explicit Shades(const std::vector<Effect>& effects) {
    for (const Effect& effect : effects) {
      least_ = std::min(least_, level(effect));
      most_ = std::max(most_, level(effect));
    }
  }
  std::string_view of(const Effect& effect) const {
    const double place = most_ > least_ ? (level(effect) - least_) / (most_ - least_) : 0;
    return kShades[std::min(kShades.size() - 1, static_cast<size_t>(place * kShades.size()))];
  }
  std::string legend() const {
    return fmt::format("{} {:.2g} … {} {:.2g} nats, logarithmic\n", kShades.front(), std::exp(least_),
                       kShades.back(), std::exp(most_));
  }

 private:
  static double level(const Effect& effect) { return std::log(std::max(effect.kld, 1e-12)); }

  double least_ = INFINITY, most_ = -INFINITY;
};

// A line per kind of linear, a character per layer.
std::string heat_map(const std::vector<Effect>& effects) {
  const Shades shades(effects);
  std::vector<std::pair<std::string_view, std::string>> lines;
  for (const Effect& effect : effects) {
    const auto line =
        std::find_if(lines.begin(), lines.end(), [&](const auto& l) { return l.first == part_of(effect); });
    if (line == lines.end())
      lines.emplace_back(part_of(effect), shades.of(effect));
    else
      line->second += shades.of(effect);
  }
  std::string text;
  for (const auto& [part, row] : lines) text += fmt::format("  {:<12}{}\n", part, row);
  return text + "  layer 0 …   " + shades.legend();
}

double kld_of_layers(const std::vector<Effect>& effects, int64_t first, int64_t last) {
  double sum = 0;
  for (const Effect& effect : effects)
    if (effect.matrix.layer >= first && effect.matrix.layer < last) sum += effect.kld;
  return sum;
}

// What a block costs at the start, in the middle and at the end, beside embedding and head.
std::string by_place(const SchemeEffects& effects, int64_t layers) {
  report::Table table({{"place", report::Align::left}, {"KLD"}});
  const auto add = [&](std::string name, double kld) {
    table.add({std::move(name), fmt::format("{:.3g}", kld)});
  };
  add("embedding", effects.embedding.kld);
  add("layer 0", kld_of_layers(effects.linears, 0, 1));
  if (layers > 2)
    add("mean of the layers between",
        kld_of_layers(effects.linears, 1, layers - 1) / static_cast<double>(layers - 2));
  if (layers > 1)
    add(fmt::format("layer {}", layers - 1), kld_of_layers(effects.linears, layers - 1, layers));
  add("head", effects.head.kld);
  return table.text();
}

std::string most_fragile(std::vector<Effect> effects) {
  std::sort(effects.begin(), effects.end(), [](const Effect& a, const Effect& b) { return a.kld > b.kld; });
  report::Table table({{"most fragile", report::Align::left}, {"KLD"}, {"±"}, {"output error"}});
  for (size_t i = 0; i < std::min(kMostShown, effects.size()); ++i)
    table.add({effects[i].matrix.module, fmt::format("{:.3g}", effects[i].kld),
               std::isnan(effects[i].kld_stderr) ? "" : fmt::format("{:.1g}", effects[i].kld_stderr),
               fmt::format("{:.3g}", effects[i].relative_error)});
  return table.text();
}

base::Json effect_json(const Effect& effect) {
  return {{"name", effect.matrix.module},
          {"layer", effect.matrix.layer},
          {"kld", effect.kld},
          {"kld_stderr", effect.kld_stderr},
          {"relative_error", effect.relative_error},
          {"bytes", effect.stored_bytes}};
}

}  // namespace

std::string sensitivity_text(const quant::Sensitivity& found) {
  std::string text;
  for (const SchemeEffects& scheme : found.schemes) {
    const std::string rank = fmt::format("{:.2f}", quant::proxy_correlation(scheme.linears));
    text += fmt::format("{}: divergence of the model when one matrix alone has it\n\n{}\n{}\n{}\n",
                        title_of(scheme.linears.front().scheme), heat_map(scheme.linears),
                        by_place(scheme, found.tensors.config.layers), most_fragile(scheme.linears));
    text += fmt::format(
        "rank correlation of the output error, which costs no run, with the divergence: {}\n\n", rank);
  }
  for (const std::string& note : found.notes) text += fmt::format("note: {}\n", note);
  return text + fmt::format("{} tokens, {}\n", found.tokens, report::format_seconds(found.seconds));
}

std::string mixture_text(const quant::Mixture& m, double kld, const std::string& file) {
  std::string text = fmt::format(
      "\nmixture             {:.3f} bits per weight, {}\npredicted KLD       {:.5f}   (the sum of its "
      "parts)\n"
      "measured KLD        {:.5f}\n",
      m.bits_per_weight, report::format_bytes(static_cast<double>(m.bytes)), m.predicted_kld, kld);
  if (file.empty()) return text + "\n" + m.recipe;
  return text +
         fmt::format("recipe              {}   (aquatint quantize MODEL --recipe {} --to OUT)\n", file, file);
}

base::Json sensitivity_json(const quant::Sensitivity& found, const quant::Mixture* mixture, double kld) {
  base::Json schemes = base::Json::array();
  for (const SchemeEffects& scheme : found.schemes) {
    base::Json linears = base::Json::array();
    for (const Effect& effect : scheme.linears) linears.push_back(effect_json(effect));
    const numeric::Scheme& of_all = scheme.linears.front().scheme;
    schemes.push_back({{"scheme", of_all.name},
                       {"group", of_all.weights.group},
                       {"rank_correlation", quant::proxy_correlation(scheme.linears)},
                       {"embedding", effect_json(scheme.embedding)},
                       {"head", effect_json(scheme.head)},
                       {"linears", linears}});
  }
  base::Json json = {
      {"tokens", found.tokens}, {"seconds", found.seconds}, {"notes", found.notes}, {"schemes", schemes}};
  if (mixture)
    json["mixture"] = {{"bits_per_weight", mixture->bits_per_weight},
                       {"bytes", mixture->bytes},
                       {"predicted_kld", mixture->predicted_kld},
                       {"kld", kld},
                       {"recipe", mixture->recipe}};
  return json;
}

}  // namespace aquatint::cli
