#include <fmt/format.h>

#include "api/self_calibration.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/quant_report.h"
#include "cli/recipe_flags.h"
#include "quant/pipeline.h"
#include "report/table.h"
#include "runtime/text_io.h"

namespace aquatint::cli {
namespace {

struct QuantizeOptions {
  std::string model, to, dtype;
  RecipeFlags recipe;
  double ram = 0;
  bool dry_run = false, resume = false;
};

using Source = std::shared_ptr<const checkpoint::Checkpoint>;

api::SelfCalibrationOptions self_options(const quant::CalibrationOptions& options) {
  return {options.samples, options.length, options.seed};
}

// The model's own samples; whether there is room for all that follows is known before the first.
quant::CalibrationSet sample_tokens(const QuantizeOptions& o, quant::QuantizeJob job, const Source& source,
                                    const api::Backend& backend) {
  const quant::CalibrationOptions options = job.recipe.calibration->options();
  const quant::CalibrationSet shape =
      api::calibration_shape(model::parse_config(source->config(), source->path().string() + ": config.json"),
                             self_options(options));
  if (job.dry_run) return shape;
  job.calibration = &shape;
  quant::check_room(*source, o.to, job);
  const auto model = model::Model::load(source, backend.at(kernels::Precision::bf16));
  return api::sample_calibration(*model, *runtime::load_tokenizer(*source), self_options(options));
}

// The tokens that the recipe asks for; none when it names no calibration.
std::optional<quant::CalibrationSet> read_tokens(const QuantizeOptions& o, const quant::QuantizeJob& job,
                                                 const Source& source, const api::Backend& backend) {
  if (!job.recipe.calibration) return std::nullopt;
  if (job.recipe.calibration->self) return sample_tokens(o, job, source, backend);
  return quant::read_calibration(job.recipe.calibration->options(), *source);
}

std::string prediction_text(const quant::Prediction& p) {
  return fmt::format(
      "peak RAM            {}   (predicted; states of the calibration tokens {})\n"
      "disk                {}   (predicted; while it runs)\n"
      "duration            {}   (predicted from pieces of the work timed on this machine)\n",
      report::format_bytes(static_cast<double>(p.peak_ram_bytes)), p.spilled ? "on disk" : "in memory",
      report::format_bytes(static_cast<double>(p.disk_bytes)), report::format_seconds(p.seconds));
}

void run_quantize(const QuantizeOptions& o, const Common& common, std::optional<uint64_t> seed) {
  quant::QuantizeJob job{.recipe = to_recipe(o.recipe, seed),
                         .dtype = parse_dtype(o.dtype),
                         .dry_run = o.dry_run,
                         .resume = o.resume,
                         .ram_bytes = static_cast<uint64_t>(o.ram * 1e9)};
  const api::Backend backend(common.backend);
  const Source source = checkpoint::open_checkpoint(o.model);
  const std::optional<quant::CalibrationSet> tokens = read_tokens(o, job, source, backend);
  if (tokens) {
    for (const std::string& note : tokens->notes) base::warn("{}", note);
    if (!tokens->description.empty()) base::info("calibration: {}", tokens->description);
    job.calibration = &*tokens;
  }
  const quant::Report report = quant::quantize(*source, o.to, job, backend.at(kernels::Precision::bf16));
  if (common.json) return print_json(quant::to_json(report));
  print_result(report_text(report) + (report.prediction ? prediction_text(*report.prediction) : ""));
  print_result(o.dry_run ? "dry run: nothing was written\n" : fmt::format("written: {}\n", o.to));
}

}  // namespace

std::function<void()> add_quantize(CLI::App& app, Common& common) {
  auto o = std::make_shared<QuantizeOptions>();
  add_model(app, o->model);
  add_backend_options(app, common);
  option(app, "--to", o->to, "folder to write; must not exist")->required();
  add_recipe_flags(app, o->recipe);
  add_seed(app, common);
  option(app, "--dtype", o->dtype, "of what stays unquantized: bf16, fp16, fp32");
  option(app, "--ram", o->ram, "GB (10^9 bytes) of memory to stay under; 0: what the machine has")
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--dry-run", o->dry_run, "print sizes, memory, disk and time, write nothing")
      ->envname("AQUATINT_DRY_RUN");
  app.add_flag("--resume", o->resume, "go on with what an interrupted run left in OUT.partial")
      ->envname("AQUATINT_RESUME");
  return [o, &common, &app] {
    const bool seeded = app.get_option("--seed")->count() > 0;
    run_quantize(*o, common, seeded ? std::optional(common.seed) : std::nullopt);
  };
}

}  // namespace aquatint::cli
