#include "quant/mixture.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "quant/mixture_search.h"

namespace aquatint::quant {
namespace {

constexpr double kPlainBytes = 2;  // of a weight that stays in 16 bits

// Linears that servers load as one: those of one stage of one block. [first, last) of SchemeEffects::linears.
struct FusedSet {
  size_t first, last;
};

std::vector<FusedSet> fused_sets(const Sensitivity& s) {
  const auto& linears = s.schemes.front().linears;
  std::vector<FusedSet> sets;
  for (size_t i = 0; i < linears.size(); ++i) {
    const bool same = i > 0 && linears[i].matrix.layer == linears[i - 1].matrix.layer &&
                      linears[i].matrix.stage == linears[i - 1].matrix.stage;
    if (same)
      sets.back().last = i + 1;
    else
      sets.push_back({i, i + 1});
  }
  return sets;
}

double weights_of(const Effect& effect) {
  return static_cast<double>(effect.matrix.rows) * static_cast<double>(effect.matrix.cols);
}

class Search {
 public:
  Search(const Sensitivity& s, const Budget& budget,
         const std::function<double(double, const numeric::Scheme*)>& seconds)
      : s_(s), budget_(budget), seconds_(seconds), sets_(fused_sets(s)) {}

  Mixture run() {
    std::vector<std::vector<MixtureOption>> options;
    for (const FusedSet& set : sets_) options.push_back(options_of(set));
    const auto chosen = choose_under_budget(options, budget_.amount);
    if (!chosen) fail(options);
    return mixture(*chosen);
  }

 private:
  double cost(double bytes, const numeric::Scheme* scheme) const {
    switch (budget_.unit) {
      case Budget::Unit::bits_per_weight:
        return 8 * bytes / static_cast<double>(s_.tensors.linear_parameters());
      case Budget::Unit::bytes:
        return bytes;
      case Budget::Unit::seconds:
        break;
    }
    return seconds_(bytes, scheme);
  }

  // One for each scheme, then 16 bits.
  std::vector<MixtureOption> options_of(const FusedSet& set) const {
    std::vector<MixtureOption> options(s_.schemes.size() + 1);
    for (size_t scheme = 0; scheme <= s_.schemes.size(); ++scheme)
      for (size_t i = set.first; i < set.last; ++i) {
        const bool plain = scheme == s_.schemes.size();
        const Effect& effect = s_.schemes[plain ? 0 : scheme].linears[i];
        options[scheme].loss += plain ? 0 : effect.kld;
        options[scheme].cost += plain ? cost(kPlainBytes * weights_of(effect), nullptr)
                                      : cost(static_cast<double>(effect.stored_bytes), &effect.scheme);
      }
    return options;
  }

  [[noreturn]] void fail(const std::vector<std::vector<MixtureOption>>& options) const {
    double least = 0;
    for (const auto& set : options)
      least +=
          std::min_element(set.begin(), set.end(), [](auto& a, auto& b) { return a.cost < b.cost; })->cost;
    const char* unit = budget_.unit == Budget::Unit::bits_per_weight ? "bits per weight"
                       : budget_.unit == Budget::Unit::bytes         ? "bytes"
                                                                     : "seconds a token";
    throw base::BadUsage(fmt::format(
        "a budget of {:g} {} is below the {:g} that the smallest of these schemes take; raise it, or "
        "add a smaller scheme to --schemes",
        budget_.amount, unit, least));
  }

  Mixture mixture(const std::vector<size_t>& chosen) const {
    Mixture m;
    double bytes = 0;
    std::vector<std::vector<std::string>> names(s_.schemes.size() + 1);  // by option
    for (size_t set = 0; set < sets_.size(); ++set)
      for (size_t i = sets_[set].first; i < sets_[set].last; ++i) {
        const bool plain = chosen[set] == s_.schemes.size();
        const Effect& effect = s_.schemes[plain ? 0 : chosen[set]].linears[i];
        names[chosen[set]].push_back(effect.matrix.module);
        bytes += plain ? kPlainBytes * weights_of(effect) : static_cast<double>(effect.stored_bytes);
        if (plain) continue;
        m.predicted_kld += effect.kld;
        m.chosen.emplace(effect.matrix.module, effect);
      }
    m.bytes = static_cast<uint64_t>(bytes);
    m.bits_per_weight = 8 * bytes / static_cast<double>(s_.tensors.linear_parameters());
    m.recipe = recipe(names);
    return m;
  }

  // What most layers have is the recipe's scheme, the others are rules.
  std::string recipe(const std::vector<std::vector<std::string>>& names) const {
    const auto most =
        std::max_element(names.begin(), names.end(), [](auto& a, auto& b) { return a.size() < b.size(); });
    const auto common = static_cast<size_t>(most - names.begin());
    const auto name = [&](size_t option) { return s_.schemes[option].linears.front().scheme.name; };
    std::string text;
    if (common < s_.schemes.size()) text = fmt::format("scheme: {}\n", name(common));
    std::string rules;
    for (size_t option = 0; option < names.size(); ++option) {
      if (option == common || names[option].empty()) continue;
      rules += fmt::format("  - match: [{}]\n", fmt::join(names[option], ", "));
      rules +=
          option < s_.schemes.size() ? fmt::format("    scheme: {}\n", name(option)) : "    keep: true\n";
    }
    return text + (rules.empty() ? "" : "layers:\n" + rules);
  }

  const Sensitivity& s_;
  const Budget& budget_;
  const std::function<double(double, const numeric::Scheme*)>& seconds_;
  std::vector<FusedSet> sets_;
};

}  // namespace

Mixture find_mixture(const Sensitivity& sensitivity, const Budget& budget,
                     const std::function<double(double, const numeric::Scheme*)>& seconds) {
  AQ_CHECK(!sensitivity.schemes.empty(), "no schemes");
  return Search(sensitivity, budget, seconds).run();
}

}  // namespace aquatint::quant
