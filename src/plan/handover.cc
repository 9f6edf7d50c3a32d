#include "plan/handover.h"

#include "base/error.h"

namespace aquatint::plan {
namespace {

std::string methods_of(const Effort& effort) { return fmt::format("methods: [{}]\n", effort.method); }

bool is_calibrated(const Candidate& c) {
  return c.effort.method != "rtn" || c.choice.scheme->input.needs_calibration() ||
         (c.choice.cache && c.choice.cache->needs_calibration());
}

// As `serve` names forms of the cache.
std::string cache_flag(const Choice& choice) {
  return choice.cache ? fmt::format(" --kv-format {}", choice.cache->format->name) : "";
}

}  // namespace

std::string recipe_yaml(const Candidate& c, const Question& question) {
  if (!c.choice.quantized())
    throw base::BadUsage(
        fmt::format("{} quantizes nothing: there is no recipe; serve the model as it is", c.choice.name));
  std::string text = fmt::format("# {} for {} x {}: {}\nscheme: {}\n", question.models[c.model].name, c.count,
                                 c.gpu, c.reason, c.choice.scheme->name);
  if (c.choice.cache) text += fmt::format("kv_cache: {}\n", c.choice.cache->name);
  text += methods_of(c.effort);
  if (is_calibrated(c))
    text += "calibration:\n  files: self  # better: text like your traffic\n  samples: 128\n";
  return text;
}

std::string commands(const Candidate& c, const std::string& model, const std::string& recipe) {
  std::string text;
  std::string served = model;
  if (c.choice.quantized()) {
    served = "OUT";
    text = fmt::format("aquatint quantize {} --recipe {} --to {}\n", model, recipe, served);
  }
  text += fmt::format("aquatint serve {}{}{} --max-model-len {:.0f} --memory-fraction {:.2f}\n", served,
                      cache_flag(c.choice), c.count > 1 ? fmt::format(" --tensor-parallel {}", c.count) : "",
                      c.longest_context, 1 - c.memory.reserve / c.memory.total);
  return text;
}

}  // namespace aquatint::plan
