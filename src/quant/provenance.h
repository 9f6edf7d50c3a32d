// Where a quantized model comes from: stored in its config.json under "aquatint", which other readers ignore,
// and held against what lies there later.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "quant/calibration.h"
#include "quant/recipe.h"

namespace aquatint::quant {

// SHA-256 over names, shapes, every norm and bias, and the first, middle and last row of every matrix, as
// values: training changes it, another layout of the same weights does not. Reads a few pages of each matrix.
std::string model_fingerprint(const checkpoint::Checkpoint& model);

// `calibration`: the tokens that the methods looked at; null: none.
base::Json provenance(const Recipe& recipe, const CalibrationSet* calibration,
                      const checkpoint::Checkpoint& source);

// Why what is recorded in `model` no longer holds, one line each: its tokenizer is not the one of the
// calibration, or the base model, where it still lies in its place, has changed. Nothing without a record.
std::vector<std::string> stale(const checkpoint::Checkpoint& model);

}  // namespace aquatint::quant
