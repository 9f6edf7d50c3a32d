// What `eval` found, as text and as JSON.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "eval/gauntlet.h"
#include "eval/noise_floor.h"
#include "eval/text_quality.h"
#include "report/task_report.h"

namespace aquatint::cli {

struct Evaluation {
  std::optional<eval::TextResult> text;
  std::optional<double> reference_perplexity;
  std::string cache;      // of the model's keys and values
  bool adds_bos = false;  // before each prompt, by the tokenizer's own rule
  report::TaskEvaluation tasks;
  std::optional<eval::GauntletAverages> gauntlet;
  std::optional<eval::NoiseFloor> noise_floor;
  std::optional<double> noise_kld;  // of the reference from itself
  int64_t shown_flips = 0;          // examples of each kind and task
};

std::string as_text(const Evaluation& evaluation);
base::Json as_json(const Evaluation& evaluation);

}  // namespace aquatint::cli
