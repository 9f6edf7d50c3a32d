// Calibration without a file: tokens that the model itself samples.
#pragma once
#include "model/model.h"
#include "quant/calibration.h"
#include "text/tokenizer.h"

namespace aquatint::api {

struct SelfCalibrationOptions {
  int64_t samples = 64, length = 512;  // the length is lowered to the model's context
  uint64_t seed = 0;
};

// Every sequence starts as a text does (the tokenizer's BOS, else the config's, else its end-of-sequence
// token, else any token) and goes on at temperature 1 over the whole vocabulary; after an end-of-sequence
// token the model begins another text. The same for any batch and number of threads of one kernel set.
// BadUsage for numbers out of range.
quant::CalibrationSet sample_calibration(model::Model& model, const text::Tokenizer& tokenizer,
                                         const SelfCalibrationOptions& options);

// As many tokens, all of them zero: what a run needs is known by their number.
quant::CalibrationSet calibration_shape(const model::Config& config, const SelfCalibrationOptions& options);

}  // namespace aquatint::api
