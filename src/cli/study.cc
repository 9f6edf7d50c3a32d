#include <fmt/format.h>

#include "api/study.h"
#include "cli/command.h"
#include "cli/study_result.h"

namespace aquatint::cli {
namespace {

void run_study(const api::StudyOptions& options, const Common& common) {
  const report::Study study = api::run_study(options);
  if (common.json) return print_json(study_json(study));
  print_result(study_text(study) +
               fmt::format("\nreport  {}\nnumbers {}\nmodels  {}\n", (options.to / "report.html").string(),
                           (options.to / "study.sqlite").string(), (options.to / "checkpoints").string()));
}

void add_options(CLI::App& app, api::StudyOptions& o) {
  option(app, "--to", o.to, "folder of the study")->required();
  option(app, "--text", o.text, "plain UTF-8 text to measure quality on");
  option(app, "--schemes", o.schemes, "schemes to compare, separated by commas")->delimiter(',');
  option(app, "--method", o.method, "how codes are found");
  option(app, "--tasks", o.tasks, "FILE.jsonl or NAME=FILE, separated by commas");
  option(app, "--shots", o.shots, "examples before each item; default: the task's own");
  option(app, "--limit", o.limit, "items per task; 0: all");
  option(app, "--context", o.windows.context, "tokens per window");
  option(app, "--stride", o.windows.stride, "start to start of windows; 0: the context");
  option(app, "--score-from", o.windows.score_from, "first scored position of a window");
  option(app, "--windows", o.windows.windows, "at most so many; 0: the first 16384 tokens");
  option(app, "--prompt-tokens", o.workload.prompt_tokens, "prompt length of the prefill bench");
  option(app, "--generate-tokens", o.workload.generate_tokens, "tokens of the decode bench");
  option(app, "--batch", o.workload.batches, "sequences decoded together, separated by commas")
      ->delimiter(',');
  option(app, "--repeat", o.workload.repeats, "bench repeats");
  app.add_option_function<std::string>(
         "--max-loss", [&o](const std::string& text) { o.max_perplexity_increase = parse_share(text); },
         "perplexity increase that still counts as the same quality, such as 1%")
      ->envname("AQUATINT_MAX_LOSS");
  app.add_flag("--resume", o.resume, "go on with the study in --to; finished schemes are not repeated")
      ->envname("AQUATINT_RESUME");
}

}  // namespace

std::function<void()> add_study(CLI::App& app, Common& common) {
  auto o = std::make_shared<api::StudyOptions>();
  o->schemes = api::kDefaultSchemes;
  add_model(app, o->model);
  add_backend_options(app, common);
  add_options(app, *o);
  add_seed(app, common);
  return [o, &common] {
    o->backend = common.backend;
    o->seed = o->workload.seed = common.seed;
    o->command = common.command_line;
    run_study(*o, common);
  };
}

}  // namespace aquatint::cli
