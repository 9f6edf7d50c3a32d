#include <fmt/format.h>

#include "api/study.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/study_result.h"
#include "report/files.h"
#include "report/import.h"
#include "report/task_store.h"
#include "report/task_text.h"

namespace aquatint::cli {
namespace {

namespace fs = std::filesystem;

struct ReportOptions {
  fs::path store, to;
  std::string reference;
  std::vector<fs::path> imports;
  int64_t shown_flips = 1;
};

// A folder stands for the study in it.
fs::path file_of(const fs::path& store) { return fs::is_directory(store) ? store / "study.sqlite" : store; }

void report_study(const ReportOptions& o, const fs::path& store, const Common& common) {
  if (!o.reference.empty())
    throw base::BadUsage("--reference is for stores of task results; a study's reference is its FP32 row");
  const fs::path to = o.to.empty() ? store.parent_path() / "report.html" : o.to;
  const report::Study study = api::render_report(store, to);
  if (common.json) return print_json(study_json(study));
  print_result(study_text(study) + fmt::format("\nreport  {}\n", to.string()));
}

void report_tasks(const ReportOptions& o, const report::TaskStore& store, const std::string& source,
                  const Common& common) {
  const report::TaskReport report = report::task_report(store, source, o.reference);
  if (!o.to.empty()) report::write_report(report, o.to);
  if (common.json) return print_json(report::task_report_json(report));
  print_result(report::task_report_text(report, o.shown_flips) +
               (o.to.empty() ? "" : fmt::format("\nreport  {}\n", o.to.string())));
}

// Into the store; without one, for this report alone.
void report_imports(const ReportOptions& o, const Common& common) {
  const auto store =
      o.store.empty() ? std::make_unique<report::TaskStore>() : std::make_unique<report::TaskStore>(o.store);
  for (const fs::path& path : o.imports)
    for (const report::TaskRecord& record : report::import_harness(path)) store->save(record);
  report_tasks(o, *store, o.store.empty() ? "imported results" : o.store.string(), common);
}

void run_report(const ReportOptions& o, const Common& common) {
  if (!o.imports.empty()) return report_imports(o, common);
  if (o.store.empty()) throw base::BadUsage("report needs a STORE, or --import with results to compare");
  const fs::path store = file_of(o.store);
  if (report::is_task_store(store))
    report_tasks(o, report::TaskStore(store), store.string(), common);
  else
    report_study(o, store, common);
}

}  // namespace

std::function<void()> add_report(CLI::App& app, Common& common) {
  auto o = std::make_shared<ReportOptions>();
  app.add_option("STORE", o->store, "study.sqlite or the folder of a study; a store that eval --store wrote");
  option(app, "--import", o->imports,
         "results_*.json of lm-evaluation-harness, or folders of them, separated by commas: go into STORE")
      ->delimiter(',');
  option(app, "--to", o->to,
         "file to write: .html, .json or .csv; default for a study: report.html beside the store");
  option(app, "--reference", o->reference, "model that the others are compared with");
  option(app, "--flips", o->shown_flips, "examples shown of answers that a model lost and gained, each task");
  return [o, &common] { run_report(*o, common); };
}

}  // namespace aquatint::cli
