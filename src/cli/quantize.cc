#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/quant_report.h"
#include "cli/recipe_flags.h"
#include "quant/pipeline.h"
#include "quant/provenance.h"

namespace aquatint::cli {
namespace {

struct Options {
  std::string model, to, dtype;
  RecipeFlags recipe;
  bool dry_run = false;
};

// What the pipeline can do of the recipe today: one scheme for every linear, by a method that reads no
// calibration.
quant::QuantizeOptions options_of(const quant::Recipe& recipe, const checkpoint::Checkpoint& model) {
  for (const quant::MethodStep& step : recipe.methods)
    if (std::ranges::none_of(quant::methods(), [&](const auto* m) { return m->name == step.name; }))
      throw base::BadUsage(fmt::format("method {} does not work on whole models yet; use rtn", step.name));
  if (recipe.methods.size() > 1)
    throw base::BadUsage(
        fmt::format("methods cannot be combined yet; use {} alone", recipe.methods.back().name));
  std::vector<std::string> notes;
  const std::vector<quant::Assignment> layers = quant::assign(recipe, quant::list_tensors(model), notes);
  const quant::Assignment& first = layers.front();
  for (const quant::Assignment& layer : layers)
    if (!first.scheme || !layer.scheme || layer.scheme->name != first.scheme->name ||
        layer.scheme->weights.group != first.scheme->weights.group || layer.clip != first.clip)
      throw base::BadUsage(fmt::format("{} and {} differ; layers of several schemes cannot be written yet",
                                       first.module, layer.module));
  quant::QuantizeOptions options;
  options.scheme = numeric::find_scheme(first.scheme->name);
  options.method = recipe.methods.back().name;
  options.layout = recipe.layout;
  options.group = recipe.group;
  options.clip = first.clip;
  return options;
}

void run(const Options& o, const Common& common, std::optional<uint64_t> seed) {
  const quant::Recipe recipe = to_recipe(o.recipe, seed);
  const numeric::Format* dtype = parse_dtype(o.dtype);
  const api::Backend backend(common.backend);
  const auto checkpoint = checkpoint::open_checkpoint(o.model);
  for (const std::string& note : recipe.notes) base::warn("{}", note);
  if (recipe.calibration)
    base::warn("{} reads no calibration; the files are not used", recipe.methods.back().name);
  quant::QuantizeOptions options = options_of(recipe, *checkpoint);
  options.dtype = dtype;
  options.dry_run = o.dry_run;
  if (!o.dry_run) options.provenance = quant::provenance(recipe, nullptr, *checkpoint);
  const quant::Report report = quant::quantize(*checkpoint, o.to, options, backend.pool());
  if (common.json) return print_json(quant::to_json(report));
  print_result(report_text(report));
  print_result(o.dry_run ? "dry run: nothing was written\n" : fmt::format("written: {}\n", o.to));
}

}  // namespace

std::function<void()> add_quantize(CLI::App& app, Common& common) {
  auto o = std::make_shared<Options>();
  add_model(app, o->model);
  add_backend_options(app, common);
  option(app, "--to", o->to, "folder to write; must not exist")->required();
  add_recipe_flags(app, o->recipe);
  add_seed(app, common);
  option(app, "--dtype", o->dtype, "of what stays unquantized: bf16, fp16, fp32");
  app.add_flag("--dry-run", o->dry_run, "print the sizes, write nothing")->envname("AQUATINT_DRY_RUN");
  return [o, &common, &app] {
    const bool seeded = app.get_option("--seed")->count() > 0;
    run(*o, common, seeded ? std::optional(common.seed) : std::nullopt);
  };
}

}  // namespace aquatint::cli
