#include "cli/recipe_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace aquatint::cli {
namespace {

std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

// FILE or FILE:RATIO; a colon before anything but a number belongs to the name.
quant::CalibrationSource parse_source(const std::string& word) {
  if (word.empty()) throw base::BadUsage("--calibration: a file name is missing between the commas");
  const size_t colon = word.rfind(':');
  if (colon == word.npos || colon == 0) return {word, 1};
  double ratio = 0;
  const char* end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data() + colon + 1, end, ratio);
  if (error != std::errc() || stop != end) return {word, 1};
  return {word.substr(0, colon), ratio};
}

void set_calibration(const std::string& words, quant::RecipeCalibration& calibration) {
  calibration.self = words == "self";
  calibration.sources.clear();
  if (calibration.self) return;
  for (const std::string& word : split_at_commas(words)) calibration.sources.push_back(parse_source(word));
}

void untie(quant::Recipe& recipe) {
  base::Json& settings = recipe.methods.front().settings;
  if (!settings.contains("untie")) throw base::BadUsage("--untie is of methods that rotate: quarot, quip");
  settings["untie"] = true;
}

quant::Recipe start(const RecipeFlags& flags) {
  if (flags.recipe.empty() == flags.scheme.empty())
    throw base::BadUsage(flags.recipe.empty()
                             ? "quantize needs --scheme S or --recipe FILE"
                             : "--scheme and --recipe both say the scheme; give one of them");
  if (!flags.recipe.empty()) return quant::read_recipe(flags.recipe);
  quant::Recipe recipe;
  quant::set_scheme(flags.scheme, recipe);
  return recipe;
}

}  // namespace

void add_recipe_flags(CLI::App& app, RecipeFlags& flags) {
  option(app, "--scheme", flags.scheme,
         "which formats: W4A16, W8A8, FP8_DYNAMIC, NF4, …; +KV8, +KVFP8 or +KV4 says the cache too");
  option(app, "--recipe", flags.recipe,
         "YAML file with schemes by layer, methods, calibration; the flags here override it");
  option(app, "--method", flags.method, "how codes are found; several with commas, in order");
  app.add_flag("--untie", flags.untie,
               "quarot, quip: a tied embedding and head become two matrices, rotated in their weights")
      ->envname("AQUATINT_UNTIE");
  option(app, "--layout", flags.layout, "how the bytes lie; default: the first that says the scheme exactly");
  option(app, "--group", flags.group,
         "weights that share a scale; 0: the scheme's, made to divide every width")
      ->check(CLI::Range(0, 4096));
  option(app, "--clip", flags.clip, "none or mse: search smaller scales; default: mse below 8 bits");
  option(app, "--calibration", flags.calibration,
         "FILE[:RATIO],… of text or .jsonl, or self: sampled by the model, as methods that need it are by "
         "default");
  option(app, "--samples", flags.samples, "calibration windows; default 128, self 64")
      ->check(CLI::PositiveNumber);
  option(app, "--seq-len", flags.length, "tokens of each; default 2048, self 512")
      ->check(CLI::PositiveNumber);
}

quant::Recipe to_recipe(const RecipeFlags& flags, std::optional<uint64_t> seed) {
  quant::Recipe recipe = start(flags);
  if (!flags.method.empty()) {
    std::vector<quant::MethodStep> steps;
    for (const std::string& name : split_at_commas(flags.method)) steps.push_back(quant::make_step(name));
    recipe.methods = quant::complete_methods(std::move(steps));
  }
  if (flags.untie) untie(recipe);
  if (!flags.layout.empty()) recipe.layout = flags.layout;
  if (flags.group) recipe.group = flags.group;
  if (!flags.clip.empty()) recipe.clip = quant::parse_clip(flags.clip);
  if (!flags.calibration.empty()) {
    if (!recipe.calibration) recipe.calibration.emplace();
    set_calibration(flags.calibration, *recipe.calibration);
  }
  if (!recipe.calibration && quant::needs_calibration(recipe)) recipe.calibration.emplace().self = true;
  if (!recipe.calibration && (flags.samples || flags.length))
    throw base::BadUsage("--samples and --seq-len are of a calibration; add --calibration FILE or self");
  if (flags.samples) recipe.calibration->samples = flags.samples;
  if (flags.length) recipe.calibration->length = flags.length;
  if (seed && recipe.calibration) recipe.calibration->seed = *seed;
  return recipe;
}

}  // namespace aquatint::cli
