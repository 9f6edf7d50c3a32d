// The canonical form of a recipe: what records, journals and fingerprints hold.
#include "base/hash.h"
#include "quant/recipe.h"

namespace aquatint::quant {
namespace {

using base::Json;

Json rule_json(const LayerRule& rule) {
  Json j = {{"match", rule.match}};
  if (!rule.except.empty()) j["except"] = rule.except;
  if (rule.scheme) j["scheme"] = rule.scheme->name;
  if (rule.keep) j["keep"] = true;
  if (rule.group) j["group"] = rule.group;
  if (rule.clip) j["clip"] = clip_name(*rule.clip);
  if (rule.optional) j["optional"] = true;
  return j;
}

Json calibration_json(const RecipeCalibration& calibration) {
  const CalibrationOptions options = calibration.options();
  Json files = Json::array();
  for (const CalibrationSource& source : options.sources)
    files.push_back({{"file", source.file.string()}, {"ratio", source.ratio}});
  return {{"files", calibration.self ? Json("self") : files},
          {"samples", options.samples},
          {"length", options.length},
          {"seed", options.seed}};
}

}  // namespace

Json to_json(const Recipe& recipe) {
  Json j = {{"version", 1}, {"methods", Json::array()}};
  if (recipe.scheme) j["scheme"] = recipe.scheme->name;
  if (recipe.kv) j["kv_cache"] = recipe.kv->name;
  if (recipe.group) j["group"] = recipe.group;
  if (recipe.clip) j["clip"] = clip_name(*recipe.clip);
  if (!recipe.layout.empty()) j["layout"] = recipe.layout;
  for (const MethodStep& step : recipe.methods) j["methods"].push_back({{step.method->name, step.settings}});
  for (const LayerRule& rule : recipe.layers) j["layers"].push_back(rule_json(rule));
  if (recipe.allow_unfused) j["allow_unfused"] = true;
  if (recipe.calibration) j["calibration"] = calibration_json(*recipe.calibration);
  return j;
}

std::string fingerprint_of(const Recipe& recipe) {
  Json j = to_json(recipe);
  j.erase("calibration");
  const std::string text = j.dump();
  return base::sha256_hex(std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace aquatint::quant
