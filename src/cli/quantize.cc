#include <fmt/format.h>

#include "api/self_calibration.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/quant_report.h"
#include "cli/recipe_flags.h"
#include "quant/pipeline.h"
#include "runtime/text_io.h"

namespace aquatint::cli {
namespace {

struct Options {
  std::string model, to, dtype;
  RecipeFlags recipe;
  bool dry_run = false, resume = false;
};

// The tokens that the recipe asks for; none when it names no calibration.
std::optional<quant::CalibrationSet> read_tokens(
    const quant::Recipe& recipe, const std::shared_ptr<const checkpoint::Checkpoint>& checkpoint,
    const api::Backend& backend) {
  if (!recipe.calibration) return std::nullopt;
  const quant::CalibrationOptions options = recipe.calibration->options();
  if (!recipe.calibration->self) return quant::read_calibration(options, *checkpoint);
  const auto model = model::Model::load(checkpoint, backend.at(kernels::Precision::bf16));
  return api::sample_calibration(*model, *runtime::load_tokenizer(*checkpoint),
                                 {options.samples, options.length, options.seed});
}

void run(const Options& o, const Common& common, std::optional<uint64_t> seed) {
  quant::QuantizeJob job{.recipe = to_recipe(o.recipe, seed),
                         .dtype = parse_dtype(o.dtype),
                         .dry_run = o.dry_run,
                         .resume = o.resume};
  const api::Backend backend(common.backend);
  const std::shared_ptr<const checkpoint::Checkpoint> checkpoint = checkpoint::open_checkpoint(o.model);
  std::optional<quant::CalibrationSet> tokens;
  if (!o.dry_run) tokens = read_tokens(job.recipe, checkpoint, backend);
  if (tokens) {
    for (const std::string& note : tokens->notes) base::warn("{}", note);
    base::info("calibration: {}", tokens->description);
    job.calibration = &*tokens;
  }
  const quant::Report report = quant::quantize(*checkpoint, o.to, job, backend.at(kernels::Precision::bf16));
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
  app.add_flag("--resume", o->resume, "go on with what an interrupted run left in OUT.partial")
      ->envname("AQUATINT_RESUME");
  return [o, &common, &app] {
    const bool seeded = app.get_option("--seed")->count() > 0;
    run(*o, common, seeded ? std::optional(common.seed) : std::nullopt);
  };
}

}  // namespace aquatint::cli
