#include <fmt/format.h>

#include <filesystem>

#include "base/file.h"
#include "base/work_folder.h"
#include "cli/command.h"
#include "plan/deploy.h"

namespace aquatint::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLargestPlan = size_t{256} << 20;

struct DeployOptions {
  std::string plan, engine, model;
  fs::path to;
  size_t rank = 0;  // 0: the chosen one
};

void write_files(const std::vector<plan::DeployFile>& files, const fs::path& to) {
  base::WorkFolder folder(to);
  for (const plan::DeployFile& file : files) {
    const fs::path path = folder.result() / file.name;
    base::write_text(path, file.text);
    if (file.executable)
      fs::permissions(path, fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec,
                      fs::perm_options::add);
  }
  folder.commit();
}

void run_deploy(const DeployOptions& o, const Common& common) {
  const plan::DeployEngine& engine = plan::find_deploy_engine(o.engine);
  const base::Json json = base::parse_json(base::read_text(o.plan, kLargestPlan), o.plan);
  plan::Deployment deployment =
      plan::read_deployment(json, o.plan, o.rank > 0 ? std::optional(o.rank) : std::nullopt);
  if (!o.model.empty()) deployment.model = o.model;
  const std::vector<plan::DeployFile> files = plan::deploy_files(engine, deployment);
  write_files(files, o.to);
  const std::string command = fmt::format("cd {} && {}", o.to.string(), engine.command);
  if (!common.json)
    return print_result(fmt::format("{}, by {}\n{}\n", deployment.title(), engine.title, command));
  base::Json names = base::Json::array();
  for (const plan::DeployFile& file : files) names.push_back(file.name);
  print_json({{"engine", o.engine},
              {"scheme", deployment.candidate.choice.name},
              {"files", names},
              {"command", command}});
}

std::string engine_names() {
  std::vector<std::string_view> names;
  for (const plan::DeployEngine* engine : plan::deploy_engines()) names.push_back(engine->name);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

std::function<void()> add_deploy(CLI::App& app, Common& common) {
  auto o = std::make_shared<DeployOptions>();
  app.add_option("PLAN", o->plan, "what aquatint plan --json printed")->required();
  option(app, "--engine", o->engine, "one of " + engine_names())->required();
  option(app, "--to", o->to, "folder to write")->required();
  option(app, "--rank", o->rank, "candidate of the plan, from 1; 0: the chosen one");
  option(app, "--model", o->model,
         "folder or hub id of the model before quantizing; default: the plan's name");
  return [o, &common] { run_deploy(*o, common); };
}

}  // namespace aquatint::cli
