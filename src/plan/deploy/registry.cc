// The only place that knows all engines.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/suggestion.h"
#include "plan/deploy/engine.h"
#include "plan/handover.h"

namespace aquatint::plan {
namespace {

constexpr std::array kEngines = {&aquatint_engine, &vllm_engine, &sglang_engine, &trtllm_engine,
                                 &ray_engine,      &k8s_engine,  &slurm_engine};

std::vector<std::string_view> able_engines(const Deployment& deployment) {
  std::vector<std::string_view> names;
  for (const DeployEngine* engine : kEngines)
    if (engine->refusal(deployment).empty()) names.push_back(engine->name);
  return names;
}

}  // namespace

std::span<const DeployEngine* const> deploy_engines() { return kEngines; }

const DeployEngine& find_deploy_engine(std::string_view name) {
  const auto* found =
      std::ranges::find_if(kEngines, [&](const DeployEngine* engine) { return engine->name == name; });
  if (found != kEngines.end()) return **found;
  std::vector<std::string_view> names;
  for (const DeployEngine* engine : kEngines) names.push_back(engine->name);
  throw base::BadUsage(fmt::format("engine {} is unknown{}", name, base::suggestion(name, names)));
}

std::vector<DeployFile> deploy_files(const DeployEngine& engine, const Deployment& deployment) {
  if (const std::string refusal = engine.refusal(deployment); !refusal.empty()) {
    const std::vector<std::string_view> able = able_engines(deployment);
    throw base::BadUsage(fmt::format("{}: {}; {}", deployment.title(), refusal,
                                     able.empty()
                                         ? "no engine can run it: plan with fewer cards"
                                         : fmt::format("engines that can: {}", fmt::join(able, ", "))));
  }
  std::vector<DeployFile> files = engine.files(deployment);
  files.push_back({"README.md", readme(engine, deployment)});
  if (deployment.candidate.choice.quantized())
    files.push_back({"recipe.yaml", recipe_yaml(deployment.candidate, deployment.question)});
  return files;
}

}  // namespace aquatint::plan
