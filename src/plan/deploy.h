// A plan handed over to a serving engine: the files and the one command that run one of its candidates there.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plan/planner.h"

namespace aquatint::plan {

// One candidate of a plan, as its JSON says.
struct Deployment {
  Question question;  // of it only the model's name, the traffic, the limits and the engines' settings
  Candidate candidate;
  std::string model;  // that quantize reads: a folder or a hub id

  const Device& device() const { return find_device(candidate.gpu); }
  std::string name() const;        // the model's, without its folders
  std::string checkpoint() const;  // folder that is served: the model itself where nothing is quantized
  std::string title() const;       // "Llama-3-70B in W4A16 on 2 x H100-80G"
  // Tokens of a request: twice what was planned for, as far as one sequence of that length fits.
  int64_t max_context() const;
  int64_t max_sequences() const;  // at once, within the limits that were asked for
  int64_t step_tokens() const;
  double memory_share() const;  // of a card, for weights, workspace and cache together
  // Machines that share one model, and the cards in each.
  int machines() const;
  int cards_per_machine() const { return candidate.count / machines(); }
};

// From what `plan --json` prints. `rank` counts from 1; without it the chosen one. BadInput names the key;
// BadUsage where nothing was chosen, or what was asked for serves nothing.
Deployment read_deployment(const base::Json& plan, const std::string& where, std::optional<size_t> rank);

struct DeployFile {
  std::string name, text;
  bool executable = false;
};

struct DeployEngine {
  std::string_view name, title;
  std::string_view command;  // in the folder of the files
  std::string_view checks;   // lines of a list: what to look at first
  // Why it cannot run this; empty: it can.
  std::string (*refusal)(const Deployment&);
  std::vector<DeployFile> (*files)(const Deployment&);
};

std::span<const DeployEngine* const> deploy_engines();
const DeployEngine& find_deploy_engine(std::string_view name);  // BadUsage lists those known

// With README.md and the recipe. BadUsage where the engine cannot run it, naming those that can.
std::vector<DeployFile> deploy_files(const DeployEngine& engine, const Deployment& deployment);

}  // namespace aquatint::plan
