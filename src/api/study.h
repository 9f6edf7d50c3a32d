// A study takes one model through quantize → evaluate → bench for FP32, BF16 and each chosen scheme, and
// keeps every number in a store from which table, verdict and report are made. Finished rows are never
// repeated on resume.
//
// In the folder `to`: study.sqlite, report.html, and checkpoints/<scheme>/ (by another method than rtn:
// checkpoints/<scheme> <method>/) as written by quantize. Another method goes on in the same study by resume.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "api/backend.h"
#include "bench/workload.h"
#include "eval/windows.h"
#include "report/study_data.h"

namespace aquatint::api {

struct StudyOptions {
  std::string model;
  std::filesystem::path to, text;
  std::vector<std::string> schemes;  // as quant::set_scheme takes them: W4A16, W8A16+KV8
  std::string method = "rtn";
  std::string tasks;  // as eval::load_tasks takes them; empty: none
  int shots = -1;     // overrides the tasks' own when ≥ 0
  int64_t limit = 0;  // items per task; 0: all

  eval::WindowOptions windows;  // windows 0: the first 16 384 tokens
  bench::Workload workload;
  BackendOptions backend;
  uint64_t seed = 0;
  double max_perplexity_increase = 0.01;  // still "the same quality", a fraction
  bool resume = false;
  std::string command;  // recorded
};

inline const std::vector<std::string> kDefaultSchemes = {"W8A16", "W4A16", "W8A8", "FP8_DYNAMIC", "NF4"};

inline constexpr const char* kTaskStore = "tasks.sqlite";  // item results, beside study.sqlite

// BadUsage for an unknown scheme, no text, or a folder that already holds a study (without resume).
report::Study run_study(const StudyOptions& options);

// Renders the report of a store into a file (report/files.h); returns the study for a table.
report::Study render_report(const std::filesystem::path& store, const std::filesystem::path& to);

}  // namespace aquatint::api
