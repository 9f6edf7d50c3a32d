#include <fmt/format.h>

#include "cli/command.h"
#include "cli/quant_report.h"
#include "quant/pipeline.h"

namespace aquatint::cli {
namespace {

struct ConvertOptions {
  std::string model, to, layout, dtype;
};

void run_convert(const ConvertOptions& o, const Common& common) {
  const numeric::Format* dtype = parse_dtype(o.dtype);
  const api::Backend backend(common.backend);
  const auto checkpoint = checkpoint::open_checkpoint(o.model);
  const quant::Report report = quant::convert(*checkpoint, o.to, o.layout, dtype, backend.pool());
  if (common.json) return print_json(quant::to_json(report));
  print_result(report_text(report) + fmt::format("written: {}\n", o.to));
}

}  // namespace

std::function<void()> add_convert(CLI::App& app, Common& common) {
  auto o = std::make_shared<ConvertOptions>();
  add_model(app, o->model);
  add_backend_options(app, common);
  option(app, "--to", o->to, "folder to write; must not exist")->required();
  option(app, "--layout", o->layout, "safetensors (16 or 32 bit), compressed-tensors, bitsandbytes")
      ->required();
  option(app, "--dtype", o->dtype, "of a plain layout: bf16, fp16, fp32; default: the source's 16-bit type");
  return [o, &common] { run_convert(*o, common); };
}

}  // namespace aquatint::cli
