// What `quantize` is to do: a recipe from a file, from flags, or from a file with flags over it.
#pragma once
#include <string>

#include "cli/command.h"
#include "quant/recipe.h"

namespace aquatint::cli {

struct RecipeFlags {
  std::string recipe, scheme, method, layout, clip, calibration;
  int group = 0;
  bool untie = false;
  int64_t samples = 0, length = 0;  // 0: not given
};

// --recipe --scheme --method --untie --layout --group --clip --calibration --samples --seq-len
void add_recipe_flags(CLI::App& app, RecipeFlags& flags);

// `seed`: of --seed, where it was given. BadUsage for flags that contradict each other or a name that is
// unknown, BadInput for the file.
quant::Recipe to_recipe(const RecipeFlags& flags, std::optional<uint64_t> seed);

}  // namespace aquatint::cli
