#include <fmt/format.h>

#include "api/study.h"
#include "cli/command.h"
#include "cli/study_result.h"

namespace aquatint::cli {
namespace {

// STORE may be the study's folder.
void run(std::filesystem::path store, std::filesystem::path to, const Common& common) {
  if (std::filesystem::is_directory(store)) store /= "study.sqlite";
  if (to.empty()) to = store.parent_path() / "report.html";
  const report::Study study = api::render_report(store, to);
  if (common.json) return print_json(study_json(study));
  print_result(study_text(study) + fmt::format("\nreport  {}\n", to.string()));
}

}  // namespace

std::function<void()> add_report(CLI::App& app, Common& common) {
  auto store = std::make_shared<std::filesystem::path>(), to = std::make_shared<std::filesystem::path>();
  app.add_option("STORE", *store, "study.sqlite, or the folder of a study")->required();
  option(app, "--to", *to, "HTML file to write; default: report.html beside the store");
  return [=, &common] { run(*store, *to, common); };
}

}  // namespace aquatint::cli
