// From the rules of a recipe to what happens to each linear of a model.
#include <algorithm>
#include <array>
#include <map>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/layouts/module_patterns.h"
#include "quant/recipe.h"

namespace aquatint::quant {
namespace {

using checkpoint::ModulePatterns;
using numeric::Granularity;

// Servers load these as one matrix.
constexpr std::array<std::string_view, 3> kQkv = {"q_proj", "k_proj", "v_proj"};
constexpr std::array<std::string_view, 2> kGateUp = {"gate_proj", "up_proj"};
constexpr std::array<std::span<const std::string_view>, 2> kFusedSets = {kQkv, kGateUp};

constexpr int kSmallestGroup = 16;  // below it scales take more than a bit per weight

class Assigner {
 public:
  Assigner(const Recipe& recipe, const ModelTensors& tensors, std::vector<std::string>& notes)
      : recipe_(recipe), tensors_(tensors), notes_(notes) {}

  std::vector<Assignment> run() {
    find_rules();
    for (const ModelMatrix& matrix : tensors_.matrices)
      if (matrix.linear) choices_.push_back(choose(matrix));
    if (std::none_of(choices_.begin(), choices_.end(), [](const Choice& c) { return c.scheme; }))
      fail(nullptr, "every layer stays in 16 bits; aquatint convert writes such a model");
    for (const Choice& choice : choices_)
      if (choice.scheme && choice.group) check_group(choice);
    choose_groups();
    if (!recipe_.allow_unfused) check_fused();
    std::vector<Assignment> all;
    for (const Choice& choice : choices_) all.push_back(assignment(choice));
    return all;
  }

 private:
  struct Choice {
    const ModelMatrix* matrix;
    const numeric::Scheme* scheme;  // null: kept
    int group;                      // 0: the scheme's
    std::optional<Clip> clip;
    const LayerRule* rule;  // null: the recipe's own words
  };

  // What is wrong with a file is bad input, with flags wrong usage.
  [[noreturn]] void fail(const LayerRule* rule, const std::string& what) const {
    if (recipe_.origin.empty()) throw base::BadUsage(what);
    throw base::BadInput(rule ? fmt::format("{}:{}: {}", recipe_.origin, rule->line, what)
                              : fmt::format("{}: {}", recipe_.origin, what));
  }

  void find_rules() {
    for (const LayerRule& rule : recipe_.layers) {
      const std::string where = fmt::format("{}:{}", recipe_.origin, rule.line);
      const ModulePatterns match(rule.match, where), except(rule.except, where);
      bool any = rule.keep && match.match_name("lm_head");  // in 16 bits in any case, also when it is tied
      for (const ModelMatrix& matrix : tensors_.matrices) {
        if (!match.match_name(matrix.module) || except.match_name(matrix.module)) continue;
        any = true;
        name(matrix, rule);
      }
      if (!any) report_idle(rule);
    }
  }

  void name(const ModelMatrix& matrix, const LayerRule& rule) {
    if (!matrix.linear && !rule.keep)
      fail(&rule,
           fmt::format("{} is no linear of a decoder layer; it stays in 16 bits (except: leaves it out)",
                       matrix.module));
    const auto [found, is_new] = rules_.try_emplace(matrix.module, &rule);
    if (!is_new)
      fail(&rule, fmt::format("{} is named by this rule and by that of line {}; narrow one (except: leaves "
                              "layers out)",
                              matrix.module, found->second->line));
  }

  void report_idle(const LayerRule& rule) {
    const std::string what = fmt::format("no layer matches {}{}", rule.match.front(),
                                         rule.match.size() > 1 ? " or the others named here" : "");
    if (!rule.optional) fail(&rule, what + fmt::format("; names look like {}", example()));
    notes_.push_back(fmt::format("{}:{}: {}", recipe_.origin, rule.line, what));
  }

  std::string example() const {
    for (const ModelMatrix& matrix : tensors_.matrices)
      if (matrix.linear) return matrix.module;
    return "model.layers.0.mlp.down_proj";
  }

  Choice choose(const ModelMatrix& matrix) const {
    const auto found = rules_.find(matrix.module);
    if (found == rules_.end()) return {&matrix, recipe_.scheme, recipe_.group, recipe_.clip, nullptr};
    const LayerRule& rule = *found->second;
    if (rule.keep) return {&matrix, nullptr, 0, {}, &rule};
    // The recipe's group belongs to the recipe's scheme.
    const int group = rule.group ? rule.group : rule.scheme ? 0 : recipe_.group;
    return {&matrix, rule.scheme ? rule.scheme : recipe_.scheme, group, rule.clip ? rule.clip : recipe_.clip,
            &rule};
  }

  void check_group(const Choice& choice) const {
    if (!has_groups(choice))
      fail(choice.rule,
           fmt::format("group {}: {} has no group size to choose", choice.group, choice.scheme->name));
    const int defined = choice.scheme->weights.group;
    if (choice.scheme->weights.fixed_group() && choice.group != defined)
      fail(choice.rule, fmt::format("group {}: {} has groups of {} by its definition", choice.group,
                                    choice.scheme->name, defined));
    if (choice.group < kSmallestGroup || (choice.group & (choice.group - 1)) != 0)
      fail(choice.rule,
           fmt::format("group {}: expected a power of two from {}", choice.group, kSmallestGroup));
    const int64_t cols = choice.matrix->cols;
    if (cols % choice.group == 0) return;
    int largest = choice.group;
    while (largest >= kSmallestGroup && cols % largest != 0) largest /= 2;
    fail(choice.rule,
         fmt::format("group {} does not divide the {} columns of {}; {}", choice.group, cols,
                     choice.matrix->module,
                     largest < kSmallestGroup
                         ? std::string("choose a scheme with one scale per channel (W8A16, W8A8)")
                         : fmt::format("the largest that does is {}", largest)));
  }

  // One size for all linears of a scheme that nobody gave one.
  void choose_groups() {
    std::map<std::string_view, std::vector<int64_t>> widths;
    for (const Choice& choice : choices_)
      if (needs_group(choice)) widths[choice.scheme->name].push_back(choice.matrix->cols);
    std::map<std::string_view, int> groups;
    for (const auto& [name, of_scheme] : widths) {
      const numeric::WeightScheme& weights = numeric::find_scheme(name)->weights;
      const int preset = weights.group;
      groups[name] = choose_group(preset, of_scheme);
      if (groups[name] != preset && weights.fixed_group())
        fail(nullptr,
             fmt::format("{} has groups of {}, which do not divide every width of its layers; {} would", name,
                         preset, groups[name]));
      if (groups[name] != preset)
        notes_.push_back(
            fmt::format("{} in groups of {} instead of {}: the largest power of two that divides "
                        "every width of its layers",
                        name, groups[name], preset));
    }
    for (Choice& choice : choices_)
      if (needs_group(choice)) choice.group = groups[choice.scheme->name];
  }

  static bool has_groups(const Choice& choice) {
    const Granularity granularity = choice.scheme->weights.granularity;
    return granularity == Granularity::group || granularity == Granularity::block;
  }
  static bool needs_group(const Choice& choice) {
    return choice.scheme && choice.group == 0 && has_groups(choice);
  }

  void check_fused() const {
    std::map<std::pair<std::string_view, size_t>, const Choice*> first;  // (block, set)
    for (const Choice& choice : choices_) {
      const std::string_view module = choice.matrix->module;
      const size_t dot = module.rfind('.');
      const std::string_view last = dot == module.npos ? module : module.substr(dot + 1);
      for (size_t set = 0; set < kFusedSets.size(); ++set) {
        if (std::find(kFusedSets[set].begin(), kFusedSets[set].end(), last) == kFusedSets[set].end())
          continue;
        const auto [found, is_new] = first.try_emplace({module.substr(0, dot), set}, &choice);
        const Choice& other = *found->second;
        if (is_new || (choice.scheme == other.scheme && choice.group == other.group)) continue;
        fail(
            choice.rule ? choice.rule : other.rule,
            fmt::format("{} is {} but {} is {}, and servers load {} as one matrix; give all the same, or say "
                        "allow_unfused: true",
                        other.matrix->module, words(other), choice.matrix->module, words(choice),
                        fmt::join(kFusedSets[set], ", ")));
      }
    }
  }

  static std::string words(const Choice& choice) {
    if (!choice.scheme) return "in 16 bits";
    return choice.group ? fmt::format("{} in groups of {}", choice.scheme->name, choice.group)
                        : std::string(choice.scheme->name);
  }

  static Assignment assignment(const Choice& choice) {
    Assignment made{choice.matrix->module, {}, Clip::none};
    if (!choice.scheme) return made;
    made.scheme = *choice.scheme;
    if (choice.group) made.scheme = numeric::with_group(*choice.scheme, choice.group);
    made.clip = choice.clip.value_or(default_clip(made.scheme->weights));
    return made;
  }

  const Recipe& recipe_;
  const ModelTensors& tensors_;
  std::vector<std::string>& notes_;
  std::map<std::string_view, const LayerRule*> rules_;  // by module
  std::vector<Choice> choices_;
};

}  // namespace

int choose_group(int wanted, const std::vector<int64_t>& widths) {
  if (wanted < kSmallestGroup)
    throw base::BadUsage(fmt::format("--group {}: expected at least {}", wanted, kSmallestGroup));
  int group = kSmallestGroup;
  while (group <= wanted / 2) group *= 2;
  for (const int64_t width : widths) {
    while (group >= kSmallestGroup && width % group != 0) group /= 2;
    if (group < kSmallestGroup)
      throw base::BadUsage(
          fmt::format("a matrix has {} columns, which no power of two from {} divides; choose a scheme with "
                      "one scale per "
                      "channel (W8A16, W8A8, FP8_DYNAMIC) or flat blocks (NF4)",
                      width, kSmallestGroup));
  }
  return group;
}

std::vector<Assignment> assign(const Recipe& recipe, const ModelTensors& tensors,
                               std::vector<std::string>& notes) {
  return Assigner(recipe, tensors, notes).run();
}

}  // namespace aquatint::quant
