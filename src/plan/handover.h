// What comes out of a plan: the recipe that `quantize --recipe` takes and the command that serves it.
#pragma once
#include <string>

#include "plan/planner.h"

namespace aquatint::plan {

// YAML. For a choice that quantizes nothing: BadUsage.
std::string recipe_yaml(const Candidate& candidate, const Question& question);
// The two commands, one a line; `model` as the user names it.
std::string commands(const Candidate& candidate, const Question& question, const std::string& model);

}  // namespace aquatint::plan
