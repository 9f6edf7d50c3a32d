// The rows of a study: one scheme at a time through quantize → evaluate → bench, each saved when it is
// finished.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/study.h"
#include "bench/peaks.h"
#include "eval/tasks.h"
#include "eval/text_quality.h"
#include "quant/recipe.h"
#include "report/store.h"
#include "report/task_store.h"

namespace aquatint::api {

// What a row's words ask for: a scheme, and behind '+' how the cache is held. BadUsage for unknown ones.
quant::Recipe study_recipe(const std::string& words, const StudyOptions& options);

// What all rows share.
struct StudyInputs {
  std::shared_ptr<const checkpoint::Checkpoint> source;
  model::Config config;
  std::unique_ptr<text::Tokenizer> tokenizer;
  eval::Windows windows;
  std::string model_sha256, text_sha256;
  std::vector<eval::Task> tasks;
  bench::Peaks peaks;
};

class StudyRows {
 public:
  StudyRows(const StudyOptions& options, const StudyInputs& inputs, const Backend& backend,
            report::Store& store);
  ~StudyRows();
  void run_all();

 private:
  report::StudyRow new_row(const std::string& scheme, report::RowKind kind) const;
  bool finished(const report::StudyRow& row) const;
  void run_reference();
  void run_baseline();
  void run_scheme(const std::string& words);

  // The FP32 model and its hidden states, made when the first unfinished row needs them.
  const eval::ReferenceStates& reference();
  // Sampled by the model when the first scheme needs them.
  const quant::CalibrationSet& calibration();
  void measure_candidate(const std::filesystem::path& checkpoint, report::StudyRow row);
  // `checkpoint` and `precision`: of the model that runs.
  void measure_tasks(model::Model& model, const checkpoint::Checkpoint& checkpoint, const char* precision,
                     report::StudyRow& row);
  void measure_speed(model::Model& model, report::StudyRow& row) const;
  void save(report::StudyRow row);

  const StudyOptions& options_;
  const StudyInputs& inputs_;
  const Backend& backend_;
  report::Store& store_;
  std::unique_ptr<report::TaskStore> task_store_;  // a study that is stopped goes on behind its last task
  int position_ = 0;
  std::unique_ptr<model::Model> reference_model_;
  std::unique_ptr<eval::ReferenceStates> reference_;
  std::optional<quant::CalibrationSet> calibration_;
};

}  // namespace aquatint::api
