// What a study knows, as plain data: one row per scheme and the facts they share. The study fills it, the
// store keeps it, and the table, the verdict and the report are pure functions of it.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace aquatint::report {

// A NaN value was not measured, a NaN error is not known; both are left out wherever they would be shown.
inline constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();

struct Measured {
  double value = kNotMeasured;
  double error = kNotMeasured;  // standard error
  int64_t n = 0;                // windows or items it comes from
  bool known() const { return std::isfinite(value); }
};

struct TaskResult {
  std::string name;
  Measured accuracy = {};       // lm-evaluation-harness `acc`, a fraction
  Measured accuracy_norm = {};  // `acc_norm`; not measured where the task has none
  // One 0 or 1 per item behind `accuracy`, in file order: for paired comparison.
  std::vector<uint8_t> correct = {};
  double baseline = 0;  // accuracy of guessing
};

// One bench workload. Rates are the samples of the repeats in tokens/s, summed over the batch.
struct SpeedResult {
  int batch = 1;
  int prompt_tokens = 0, generate_tokens = 0;
  std::vector<double> prefill = {}, decode = {};
  double bandwidth_utilization = kNotMeasured;  // decode's weight reads over the measured read bandwidth
  double flop_utilization = kNotMeasured;       // prefill's 2·parameters·rate over the measured peak
  double prefill_joules = kNotMeasured, decode_joules = kNotMeasured;  // of the machine, per token
};

// relative_error = tr(ΔW H ΔWᵀ) / tr(W H Wᵀ); basis says what H was: "identity" or "calibration".
struct LayerError {
  std::string name;  // "model.layers.3.mlp.down_proj"
  double relative_error = kNotMeasured;
  std::string basis = "identity";
};

// An answer that differs from the reference's in being right.
struct FlipExample {
  std::string task;
  int64_t line = 0;   // of the item in its file
  bool lost = false;  // right → wrong; else wrong → right
  std::string question;
  std::string reference, model;  // what each answered
};

struct MemoryPart {
  std::string name;  // "weights, I32", "scales and offsets"
  double bytes = 0;
};
inline constexpr const char* kCachePart = "keys and values of 1024 tokens";

// What else must be known to repeat a row. Rows of a resumed study may differ in date, command and version.
struct Provenance {
  std::string model_sha256, recipe, version, cpu, device = "cpu", kernels, date, command;
  uint64_t seed = 0;
};

enum class RowKind {
  reference,  // FP32: divergences are measured from it
  baseline,   // the 16-bit model that would be used without quantization
  candidate,
};

struct StudyRow {
  std::string scheme;  // "W4A16"; with `method` the row's name
  std::string method;  // "rtn", "gptq,awq"; empty for the reference and the baseline
  std::string layout;  // "compressed-tensors"; empty when nothing was written
  RowKind kind = RowKind::candidate;
  int position = 0;         // in tables; ties in the order they were saved
  std::string fingerprint;  // identifies model, recipe, data, settings and kernels: what --resume compares

  int group = 0,
      preset_group = 0;  // differ where the preset's group does not divide every width; 0: no groups
  double bits_per_weight = kNotMeasured, bits_per_parameter = kNotMeasured;
  double file_bytes = kNotMeasured;    // all weight files of the written model
  double weight_bytes = kNotMeasured;  // packed and resident
  double peak_ram_bytes =
      kNotMeasured;  // highest resident set of the process up to the end of this row's bench
  double quantize_seconds = kNotMeasured, evaluate_seconds = kNotMeasured;

  Measured perplexity, mean_kld;  // KLD from the reference, nats
  double median_kld = kNotMeasured, p90_kld = kNotMeasured, p95_kld = kNotMeasured, p99_kld = kNotMeasured,
         p999_kld = kNotMeasured, max_kld = kNotMeasured;
  double same_top1 = kNotMeasured;
  std::vector<double> kld_by_position;  // mean KLD in equal parts of a window's scored positions
  std::vector<double>
      window_nll;  // mean −log p over each window's scored tokens: pairs rows window by window
  std::vector<SpeedResult> speed;
  std::vector<TaskResult> tasks;
  std::vector<LayerError> layers;
  std::vector<MemoryPart> memory;
  std::vector<FlipExample> flips;  // not kept in the store of the study (report/flips.h)
  std::vector<std::string> notes;  // sentences; plain text
  Provenance provenance;
};

struct StudyFacts {
  std::string model, model_sha256, architecture;  // model: the name shown
  int64_t parameters = 0, hidden_size = 0;
  std::string source_layout;                // "gguf", "safetensors", "compressed-tensors"…
  std::vector<std::string> source_formats;  // formats of the source's tensors, the one with most parameters
                                            // first: "Q4_1", "Q8_0", "F32"
  bool tied_embeddings = false;
  double embedding_bytes = kNotMeasured;  // of the unquantized embedding and head in a written model

  std::string text, text_sha256;  // file name; the bytes' hash
  int64_t text_tokens = 0;        // scored
  int64_t context = 0, stride = 0, score_from = 0, windows = 0;
  std::string tasks;  // description of the task files, "" without tasks

  std::string cpu, device = "cpu", kernels, os;
  int threads = 0;
  double ram_bytes = kNotMeasured;
  double read_gb_s = kNotMeasured;  // measured peak, over a buffer of `bandwidth_buffer_bytes`
  double bandwidth_buffer_bytes = kNotMeasured;
  struct Peak {
    std::string type;
    double flop_s;
  };
  std::vector<Peak> peak_flop_s;  // measured

  std::string version, date, command;
  uint64_t seed = 0;
  double max_perplexity_increase = 0.01;  // what still counts as "the same quality", a fraction
  std::vector<std::string> notes;         // sentences; plain text
};

struct Study {
  StudyFacts facts;
  std::vector<StudyRow> rows;
};

// "W4A16", or "W4A16 gptq" where a method other than plain rounding was used.
std::string row_name(const StudyRow& row);

// The workload with the smallest batch, or null.
const SpeedResult* single_speed(const StudyRow& row);

}  // namespace aquatint::report
