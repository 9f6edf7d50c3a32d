#include "quant/recipe.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/suggestion.h"
#include "checkpoint/layouts/layout.h"
#include "quant/recipe_reader.h"

namespace aquatint::quant {
namespace {

constexpr size_t kMostPatterns = 20'000;  // of a recipe: each is tried on every layer

constexpr std::array<std::string_view, 10> kKeys = {"scheme",      "kv_cache", "group",  "clip",
                                                    "layout",      "methods",  "layers", "allow_unfused",
                                                    "calibration", "version"};
constexpr std::array<std::string_view, 7> kRuleKeys = {"match", "except", "scheme",  "keep",
                                                       "group", "clip",   "optional"};
constexpr std::array<std::string_view, 4> kCalibrationKeys = {"files", "samples", "length", "seed"};
constexpr std::array<std::string_view, 2> kFileKeys = {"file", "ratio"};

class OwnDialect {
 public:
  OwnDialect(const eval::YamlReader& reader, const std::filesystem::path& folder)
      : reader_(reader), folder_(folder) {}

  Recipe read(const eval::YamlNode& root) {
    reader_.require_keys(reader_.map(root, "the recipe"), kKeys, "the recipe");
    Recipe recipe;
    if (const eval::YamlNode* node = root.find("version")) reader_.integer(*node, "version", 1, 1);
    if (const eval::YamlNode* node = root.find("scheme")) take_scheme(*node, recipe);
    if (const eval::YamlNode* node = root.find("kv_cache")) recipe.kv = kv_cache(*node);
    if (const eval::YamlNode* node = root.find("group")) recipe.group = group(*node);
    if (const eval::YamlNode* node = root.find("clip")) recipe.clip = clip(*node);
    if (const eval::YamlNode* node = root.find("layout")) recipe.layout = layout(*node);
    if (const eval::YamlNode* node = root.find("methods")) recipe.methods = methods(*node);
    if (const eval::YamlNode* node = root.find("layers")) recipe.layers = rules(*node);
    if (const eval::YamlNode* node = root.find("allow_unfused"))
      recipe.allow_unfused = reader_.boolean(*node, "allow_unfused");
    if (const eval::YamlNode* node = root.find("calibration")) recipe.calibration = calibration(*node);
    check_schemes(recipe, root);
    return recipe;
  }

 private:
  void check_schemes(const Recipe& recipe, const eval::YamlNode& root) const {
    if (recipe.scheme) return;
    bool any = false;
    for (const LayerRule& rule : recipe.layers) {
      any = any || rule.scheme;
      if (!rule.scheme && !rule.keep)
        reader_.fail(rule.line, "a rule without scheme changes the recipe's, and the recipe has none");
    }
    if (!any) reader_.fail(root.line, "names no scheme; say scheme: W4A16 for all layers, or under layers:");
  }

  void take_scheme(const eval::YamlNode& node, Recipe& recipe) const {
    const std::string words = reader_.text(node, "scheme");
    if (words.find('+') == words.npos) return void(recipe.scheme = scheme_of(node, reader_));
    try {
      set_scheme(words, recipe);
    } catch (const base::BadUsage& e) {
      reader_.fail(node.line, e.what());
    }
  }

  const numeric::KvScheme* kv_cache(const eval::YamlNode& node) const {
    const std::string name = reader_.text(node, "kv_cache");
    if (const numeric::KvScheme* scheme = numeric::find_kv_scheme(name)) return scheme;
    reader_.fail(node.line, fmt::format("kv_cache '{}' is unknown, expected KV8, KVFP8 or KV4", name));
  }

  int group(const eval::YamlNode& node) const {
    return static_cast<int>(reader_.integer(node, "group", 1, 1 << 20));
  }

  Clip clip(const eval::YamlNode& node) const {
    const std::array<std::string_view, 2> kNames = {clip_name(Clip::none), clip_name(Clip::mse)};
    const std::string name = reader_.text(node, "clip");
    if (std::find(kNames.begin(), kNames.end(), name) == kNames.end())
      reader_.fail(node.line, fmt::format("clip '{}' is unknown{}", name, base::suggestion(name, kNames)));
    return parse_clip(name);
  }

  std::string layout(const eval::YamlNode& node) const {
    const std::string name = reader_.text(node, "layout");
    if (!checkpoint::find_layout(name)) reader_.fail(node.line, fmt::format("layout '{}' is unknown", name));
    return name;
  }

  // A name, or a map of one name to its settings; one or a list of them.
  std::vector<MethodStep> methods(const eval::YamlNode& node) const {
    std::vector<MethodStep> steps;
    if (node.kind != eval::YamlNode::Kind::list) {
      steps.push_back(method(node));
    } else {
      for (const eval::YamlNode& item : node.items) steps.push_back(method(item));
    }
    try {
      return complete_methods(std::move(steps));
    } catch (const base::BadUsage& e) {
      reader_.fail(node.line, e.what());
    }
  }

  MethodStep method(const eval::YamlNode& node) const {
    if (node.kind == eval::YamlNode::Kind::scalar) return step(node.text, node.line);
    if (reader_.map(node, "a method").entries.size() != 1)
      reader_.fail(node.line,
                   "a method is a name, or one name with its settings, as in - gptq: {damp: 0.01}");
    const eval::YamlNode::Entry& entry = node.entries.front();
    MethodStep made = step(entry.key, entry.line);
    if (entry.value.kind == eval::YamlNode::Kind::null) return made;
    for (const eval::YamlNode::Entry& setting : reader_.map(entry.value, entry.key).entries)
      if (!set_method_setting(made, setting.key, setting.value, reader_)) unknown_setting(made, setting);
    return made;
  }

  MethodStep step(const std::string& name, int line) const {
    try {
      return make_step(name);
    } catch (const base::BadUsage& e) {
      reader_.fail(line, e.what());
    }
  }

  [[noreturn]] void unknown_setting(const MethodStep& step, const eval::YamlNode::Entry& setting) const {
    std::vector<std::string_view> known;
    for (const MethodSetting& s : step.method->settings) known.push_back(s.name);
    reader_.fail(setting.line, known.empty()
                                   ? fmt::format("{} has no settings", step.method->name)
                                   : fmt::format("{} has no setting '{}'{}", step.method->name, setting.key,
                                                 base::suggestion(setting.key, known)));
  }

  std::vector<LayerRule> rules(const eval::YamlNode& node) const {
    if (node.kind != eval::YamlNode::Kind::list)
      reader_.fail(node.line, "layers must be a list: - {match: …, scheme: …}");
    std::vector<LayerRule> all;
    for (const eval::YamlNode& item : node.items) all.push_back(rule(item));
    return all;
  }

  LayerRule rule(const eval::YamlNode& node) const {
    reader_.require_keys(reader_.map(node, "a rule under layers"), kRuleKeys, "a rule under layers");
    LayerRule made;
    made.line = node.line;
    const eval::YamlNode* match = node.find("match");
    if (!match) reader_.fail(node.line, "a rule under layers needs match:");
    made.match = reader_.texts(*match, "match");
    if (const eval::YamlNode* except = node.find("except")) made.except = reader_.texts(*except, "except");
    if (const eval::YamlNode* scheme = node.find("scheme")) made.scheme = scheme_of(*scheme, reader_);
    if (const eval::YamlNode* keep = node.find("keep")) made.keep = reader_.boolean(*keep, "keep");
    if (const eval::YamlNode* size = node.find("group")) made.group = group(*size);
    if (const eval::YamlNode* search = node.find("clip")) made.clip = clip(*search);
    if (const eval::YamlNode* optional = node.find("optional"))
      made.optional = reader_.boolean(*optional, "optional");
    const bool changes = made.scheme || made.group || made.clip;
    if (made.match.empty()) reader_.fail(match->line, "match names no layer");
    if (made.keep && changes) reader_.fail(node.line, "keep: true leaves nothing for scheme, group or clip");
    if (!made.keep && !changes) reader_.fail(node.line, "a rule needs scheme, group, clip or keep: true");
    return made;
  }

  RecipeCalibration calibration(const eval::YamlNode& node) const {
    RecipeCalibration made;
    if (node.kind == eval::YamlNode::Kind::scalar) return files(node);
    reader_.require_keys(reader_.map(node, "calibration"), kCalibrationKeys, "calibration");
    const eval::YamlNode* named = node.find("files");
    if (!named) reader_.fail(node.line, "calibration needs files: a list, or self");
    made = files(*named);
    if (const eval::YamlNode* n = node.find("samples"))
      made.samples = reader_.integer(*n, "samples", 1, 1 << 24);
    if (const eval::YamlNode* n = node.find("length"))
      made.length = reader_.integer(*n, "length", 16, 1 << 24);
    if (const eval::YamlNode* n = node.find("seed"))
      made.seed = static_cast<uint64_t>(reader_.integer(*n, "seed", 0, INT64_MAX));
    return made;
  }

  RecipeCalibration files(const eval::YamlNode& node) const {
    RecipeCalibration made;
    made.self = node.kind == eval::YamlNode::Kind::scalar && node.text == "self";
    if (made.self) return made;
    if (node.kind != eval::YamlNode::Kind::list) made.sources.push_back(source(node));
    for (const eval::YamlNode& item : node.items) made.sources.push_back(source(item));
    if (made.sources.empty()) reader_.fail(node.line, "calibration names no file");
    return made;
  }

  CalibrationSource source(const eval::YamlNode& node) const {
    if (node.kind == eval::YamlNode::Kind::scalar) return {folder_ / reader_.text(node, "file"), 1};
    reader_.require_keys(reader_.map(node, "a calibration file"), kFileKeys, "a calibration file");
    const eval::YamlNode* file = node.find("file");
    if (!file) reader_.fail(node.line, "a calibration file needs file:");
    CalibrationSource made{folder_ / reader_.text(*file, "file"), 1};
    if (const eval::YamlNode* ratio = node.find("ratio")) {
      made.ratio = reader_.number(*ratio, "ratio");
      if (made.ratio <= 0)
        reader_.fail(ratio->line, fmt::format("ratio is {}, expected above 0", ratio->text));
    }
    return made;
  }

  const eval::YamlReader& reader_;
  const std::filesystem::path& folder_;
};

void check_patterns(const Recipe& recipe, const eval::YamlReader& reader) {
  size_t patterns = 0;
  for (const LayerRule& rule : recipe.layers) {
    patterns += rule.match.size() + rule.except.size();
    if (patterns > kMostPatterns)
      reader.fail(rule.line, fmt::format("more than {} names and expressions", kMostPatterns));
  }
}

}  // namespace

Recipe read_own_dialect(const eval::YamlNode& root, const eval::YamlReader& reader,
                        const std::filesystem::path& folder) {
  return OwnDialect(reader, folder).read(root);
}

const numeric::Scheme* scheme_of(const eval::YamlNode& node, const eval::YamlReader& reader) {
  const std::string name = reader.text(node, "scheme");
  if (const numeric::Scheme* scheme = numeric::find_scheme(name)) return scheme;
  std::vector<std::string_view> known;
  for (const numeric::Scheme& scheme : numeric::schemes()) known.push_back(scheme.name);
  reader.fail(node.line, fmt::format("scheme '{}' is unknown{}", name, base::suggestion(name, known)));
}

void set_scheme(std::string_view words, Recipe& recipe) {
  const auto [scheme, kv] = numeric::split_scheme(words);
  recipe.scheme = numeric::find_scheme(scheme);
  if (!recipe.scheme)
    throw base::BadUsage(fmt::format("scheme {} is unknown; aquatint formats lists them", scheme));
  if (words.size() == scheme.size()) return;
  recipe.kv = numeric::find_kv_scheme(kv);
  if (!recipe.kv)
    throw base::BadUsage(fmt::format("{}: the cache {} is unknown, expected KV8, KVFP8 or KV4", words, kv));
}

bool needs_calibration(const Recipe& recipe) {
  const auto inputs_need = [](const numeric::Scheme* scheme) {
    return scheme && scheme->input.needs_calibration();
  };
  return (recipe.kv && recipe.kv->needs_calibration()) || inputs_need(recipe.scheme) ||
         std::ranges::any_of(recipe.layers,
                             [&](const LayerRule& rule) { return inputs_need(rule.scheme); }) ||
         std::ranges::any_of(recipe.methods,
                             [](const MethodStep& step) { return step.method->needs_calibration; });
}

bool set_method_setting(MethodStep& step, std::string_view key, const eval::YamlNode& value,
                        const eval::YamlReader& reader) {
  for (const MethodSetting& setting : step.method->settings) {
    if (setting.name != key) continue;
    base::Json& to = step.settings[setting.name];
    if (setting.type == MethodSetting::Type::boolean) {
      to = reader.boolean(value, key);
    } else if (setting.type == MethodSetting::Type::integer) {
      to = reader.integer(value, key, static_cast<int64_t>(setting.min), static_cast<int64_t>(setting.max));
    } else if (setting.type == MethodSetting::Type::word) {
      const std::string word = reader.text(value, key);
      if (std::find(setting.words.begin(), setting.words.end(), word) == setting.words.end())
        reader.fail(value.line,
                    fmt::format("{} is '{}', expected {}", key, word, fmt::join(setting.words, ", ")));
      to = word;
    } else {
      const double number = reader.number(value, key);
      if (number < setting.min || number > setting.max)
        reader.fail(value.line,
                    fmt::format("{} is {}, expected {} to {}", key, number, setting.min, setting.max));
      to = number;
    }
    return true;
  }
  return false;
}

CalibrationOptions RecipeCalibration::options() const {
  return {sources, samples.value_or(self ? 64 : 128), length.value_or(self ? 512 : 2048), seed};
}

namespace {

enum class Turn { rotation, before_codes, codes, after_codes };

Turn turn_of(const MethodStep& step) {
  if (step.method->rotate) return Turn::rotation;
  if (step.method->finds_codes()) return Turn::codes;
  return step.method->compensate ? Turn::after_codes : Turn::before_codes;
}

}  // namespace

std::vector<MethodStep> complete_methods(std::vector<MethodStep> steps) {
  std::set<std::string_view> seen;
  for (size_t i = 0; i < steps.size(); ++i) {
    const std::string_view name = steps[i].method->name;
    if (!seen.insert(name).second) throw base::BadUsage(fmt::format("method {} stands twice", name));
    if (i > 0 && steps[i].method->rotate)
      throw base::BadUsage(
          fmt::format("{} must be the first method: the others work on the rotated model", name));
    if (i == 0 || turn_of(steps[i - 1]) < turn_of(steps[i])) continue;
    if (turn_of(steps[i]) == turn_of(steps[i - 1]) && turn_of(steps[i]) != Turn::codes) continue;
    throw base::BadUsage(fmt::format(
        "{} comes after {}; the order is: what changes weights (smoothquant, awq), one method that finds "
        "the codes (rtn, gptq), what makes up for their errors (lorc)",
        name, steps[i - 1].method->name));
  }
  const auto after = std::find_if(steps.begin(), steps.end(),
                                  [](const MethodStep& s) { return turn_of(s) == Turn::after_codes; });
  if (after == steps.begin() || turn_of(*(after - 1)) != Turn::codes)
    steps.insert(after, make_step(steps.empty() ? rtn.finder : steps.front().method->finder));
  return steps;
}

Recipe parse_recipe(std::string_view yaml, const std::string& where, const std::filesystem::path& folder) {
  const eval::YamlReader reader(where);
  const eval::YamlNode root = eval::read_yaml(yaml, where);
  if (root.kind == eval::YamlNode::Kind::null) throw base::BadInput(where + ": is empty, expected a recipe");
  Recipe recipe =
      is_llm_compressor(root) ? read_llm_compressor(root, reader) : read_own_dialect(root, reader, folder);
  recipe.origin = where;
  check_patterns(recipe, reader);
  return recipe;
}

Recipe read_recipe(const std::filesystem::path& file) {
  return parse_recipe(base::read_text(file, size_t{1} << 20), file.string(), file.parent_path());
}

}  // namespace aquatint::quant
