#include "cli/command.h"

namespace aquatint::cli {

void add_output_options(CLI::App& app, Common& common) {
  app.add_flag("--json", common.json, "print the machine-readable result alone on standard output")
      ->envname("AQUATINT_JSON");
  app.add_flag("--quiet", common.console.quiet, "no progress, no information, only warnings and errors")
      ->envname("AQUATINT_QUIET");
  app.add_flag("--log-json", common.console.log_json, "log as one JSON object a line")
      ->envname("AQUATINT_LOG_JSON");
}

void add_backend_options(CLI::App& app, Common& common) {
  option(app, "--threads", common.backend.threads, "threads; 0: one for each core this process may use")
      ->check(CLI::Range(0, 1024));
  option(app, "--device", common.backend.device, "cpu or cuda")->check(CLI::IsMember({"cpu", "cuda"}));
  option(app, "--kernels", common.backend.kernels,
         "auto, or one kernel set by name (aquatint devices lists them)");
}

void add_seed(CLI::App& app, Common& common) {
  option(app, "--seed", common.seed, "of everything random; the same seed gives the same result");
}

void add_model(CLI::App& app, std::string& model) {
  app.add_option("MODEL", model, "a folder (config.json, *.safetensors), a .gguf file, or a fetched hub id")
      ->required();
}

}  // namespace aquatint::cli
