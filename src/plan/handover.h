// What comes out of a plan: the recipe that `quantize --recipe` takes and the command that serves it.
#pragma once
#include <string>

#include "plan/planner.h"

namespace aquatint::plan {

// YAML. For a choice that quantizes nothing: BadUsage.
std::string recipe_yaml(const Candidate& candidate, const Question& question);
// The two commands, one a line; model and recipe as the user names them.
std::string commands(const Candidate& candidate, const std::string& model, const std::string& recipe);

}  // namespace aquatint::plan
