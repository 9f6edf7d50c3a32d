#include <fmt/format.h>

#include "base/error.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/quant_report.h"
#include "numeric/scheme.h"
#include "quant/pipeline.h"

namespace aquatint::cli {
namespace {

struct Options {
  std::string model, to, scheme, method = "rtn", layout, clip, dtype;
  int group = 0;
  bool dry_run = false;
};

quant::QuantizeOptions resolve(const Options& o) {
  quant::QuantizeOptions q;
  q.scheme = numeric::find_scheme(o.scheme);
  if (!q.scheme)
    throw base::BadUsage(fmt::format("--scheme {} is unknown; aquatint formats lists them", o.scheme));
  q.method = o.method;
  q.layout = o.layout;
  q.group = o.group;
  if (!o.clip.empty()) q.clip = quant::parse_clip(o.clip);
  q.dtype = parse_dtype(o.dtype);
  q.dry_run = o.dry_run;
  return q;
}

void run(const Options& o, const Common& common) {
  const quant::QuantizeOptions options = resolve(o);
  const api::Backend backend(common.backend);
  const auto checkpoint = checkpoint::open_checkpoint(o.model);
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
  option(app, "--scheme", o->scheme, "which formats: W4A16, W8A8, FP8_DYNAMIC, NF4, …")->required();
  option(app, "--method", o->method, "how codes are found");
  option(app, "--layout", o->layout, "how the bytes lie; default: the first that says the scheme exactly");
  option(app, "--group", o->group, "weights that share a scale; 0: the scheme's, made to divide every width")
      ->check(CLI::Range(0, 4096));
  option(app, "--clip", o->clip, "none or mse: search smaller scales; default: mse below 8 bits");
  option(app, "--dtype", o->dtype, "of what stays unquantized: bf16, fp16, fp32");
  app.add_flag("--dry-run", o->dry_run, "print the sizes, write nothing")->envname("AQUATINT_DRY_RUN");
  return [o, &common] { run(*o, common); };
}

}  // namespace aquatint::cli
