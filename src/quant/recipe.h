// A recipe says what is done to a model: schemes by layer, the methods that find the codes, the calibration.
// It comes from a YAML file (ours or llm-compressor's) or from the command line's flags.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "numeric/kv_scheme.h"
#include "numeric/scheme.h"
#include "quant/calibration.h"
#include "quant/method.h"
#include "quant/model_tensors.h"

namespace aquatint::quant {

// An override for the layers that it names.
struct LayerRule {
  std::vector<std::string> match;   // "re:" and an expression matched from the start of the name, or a name
  std::vector<std::string> except;  // of those, the ones that the rule leaves alone
  const numeric::Scheme* scheme = nullptr;  // null: the recipe's
  bool keep = false;                        // stays in 16 bits
  int group = 0;                            // 0: the recipe's, or the scheme's
  std::optional<Clip> clip;
  bool optional = false;  // matching nothing is a note, not an error
  int line = 0;           // of the file
};

struct RecipeCalibration {
  bool self = false;                       // the model's own samples
  std::vector<CalibrationSource> sources;  // otherwise; paths as they can be opened
  std::optional<int64_t> samples, length;  // unset: 64 × 512 of the model's own, 128 × 2048 of files
  uint64_t seed = 0;

  CalibrationOptions options() const;  // with the defaults
};

struct Recipe {
  const numeric::Scheme* scheme = nullptr;  // of every linear that no rule names; null: those stay in 16 bits
  const numeric::KvScheme* kv = nullptr;    // of the cache of keys and values; null: as each run asks
  int group = 0;                            // 0: the scheme's, lowered to divide every width
  std::optional<Clip> clip;                 // unset: default_clip() of each scheme
  std::string layout;                       // "": the first that says it exactly
  std::vector<MethodStep> methods = {make_step("rtn")};  // in order, as complete_methods() has them
  std::vector<LayerRule> layers;
  bool allow_unfused = false;  // q, k, v (gate, up) may differ
  std::optional<RecipeCalibration> calibration;
  std::string origin;              // the file; empty: flags
  std::vector<std::string> notes;  // what of a foreign recipe is done otherwise
};

// The steps with a finder of codes in its place where there is none. BadUsage for a method that stands twice,
// and for an order other than: model rotated, weights changed, codes found, errors made up for.
std::vector<MethodStep> complete_methods(std::vector<MethodStep> steps);

// A YAML file in our form, or in llm-compressor's. BadInput ("file:line: …").
Recipe read_recipe(const std::filesystem::path& file);
// `folder` is what relative calibration paths start from.
Recipe parse_recipe(std::string_view yaml, const std::string& where,
                    const std::filesystem::path& folder = {});

// The same recipe as a JSON document that parse_recipe() reads: every setting with its value, keys sorted.
base::Json to_json(const Recipe& recipe);
// SHA-256 over that form without the calibration, whose tokens have a fingerprint of their own.
std::string fingerprint_of(const Recipe& recipe);

struct Assignment {
  std::string module;
  std::optional<numeric::Scheme> scheme;  // with the group really used; none: stays in 16 bits
  Clip clip = Clip::none;
};

// "W4A16", or "W4A16+KV8", which says the cache too. BadUsage for an unknown word.
void set_scheme(std::string_view words, Recipe& recipe);

// Whether a method, the inputs of a scheme or the cache have something to find from tokens.
bool needs_calibration(const Recipe& recipe);

// What happens to every linear, in the model's order. A group that is asked for must divide the widths; a
// preset's is lowered to the largest power of two that divides every width of its linears, with a note.
// BadInput (BadUsage where flags are at fault): a rule that matches no layer, two for one layer, a group that
// does not divide, fused layers that differ.
std::vector<Assignment> assign(const Recipe& recipe, const ModelTensors& tensors,
                               std::vector<std::string>& notes);

// The largest power of two up to `wanted` that divides every width. BadUsage when that is less than 16.
int choose_group(int wanted, const std::vector<int64_t>& widths);

}  // namespace aquatint::quant
