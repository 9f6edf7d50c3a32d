// From a model to a model of fewer bits: quantize() finds codes for decoder linears and writes a checkpoint
// that other readers load; convert() writes the same weights in another layout. Both stream: one matrix at a
// time, or one block where a method changes weights across linears.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/thread_pool.h"
#include "checkpoint/checkpoint.h"
#include "model/model.h"
#include "quant/recipe.h"

namespace aquatint::quant {

struct QuantizeJob {
  Recipe recipe = {};
  const CalibrationSet* calibration = nullptr;
  const numeric::Format* dtype =
      nullptr;                  // of what stays unquantized; null: the source's 16-bit type, else BF16
  bool dry_run = false;         // sizes only: nothing is quantized, nothing written
  bool resume = false;          // go on with what an interrupted run left beside `to`
  uint64_t ram_bytes = 0;       // of this process at most; 0: what the machine has
  bool spill = false;           // states of the calibration tokens on the disk, though memory would do
  double journal_share = 0.05;  // of the time may go into keeping what is finished
};

struct LayerReport {
  std::string name;  // module, "model.layers.0.self_attn.q_proj"
  std::string scheme, method;
  int64_t rows = 0, cols = 0;
  uint64_t bytes = 0;                    // stored
  double relative_error = 0;             // tr(ΔW H ΔWᵀ) / tr(W H Wᵀ); 0 in a dry run
  std::string error_basis = "identity";  // what H is: or "calibration"
  double seconds = 0;
  int64_t tokens = 0;                 // of calibration, that its input was seen for
  double damping = 0, condition = 0;  // of H, where the method factorizes it (Feedback)
  std::string note;                   // what was in the way, its cause and what was done
};

// What a run will need, before it starts.
struct Prediction {
  uint64_t peak_ram_bytes = 0, disk_bytes = 0;
  bool spilled = false;  // states of the calibration tokens lie on the disk
  double seconds = 0;
};

struct Report {
  std::string scheme, method, layout, clip;  // "" where none applies
  std::string kv_cache;                      // what the model asks for
  int group = 0;                             // the size really used; 0 when the scheme has no groups
  uint64_t bytes = 0;                        // of all tensors written
  int64_t parameters = 0;
  double bits_per_weight = 0;     // quantized linears: stored bits over their weights
  double bits_per_parameter = 0;  // all tensor bits over all parameters
  double seconds = 0;
  std::vector<LayerReport> layers;  // of a plain target: one per matrix whose values were rounded
  std::vector<std::string>
      notes;  // what the user must know: a lowered group size, a source already quantized, …
  std::optional<Prediction> prediction;  // of a dry run
};

// `source` is the model; `to` must not exist. Calibration runs through `backend`, block by block, each behind
// blocks that are already quantized. BadUsage when the source already has the scheme or the recipe does not
// fit; BadInput for a malformed model.
Report quantize(const checkpoint::Checkpoint& source, const std::filesystem::path& to, const QuantizeJob& job,
                const model::Backend& backend);

// OutOfResource when the job's memory or the disk beside `to` will not do; of the calibration the sizes alone
// count.
void check_room(const checkpoint::Checkpoint& source, const std::filesystem::path& to,
                const QuantizeJob& job);

// layout → hub → layout, exactly, where the target can say the source's scheme; or to "safetensors", every
// tensor rounded to `dtype` (null: the source's 16-bit type, else BF16) with the relative error of that
// rounding per layer. BadUsage with the reason otherwise.
Report convert(const checkpoint::Checkpoint& source, const std::filesystem::path& to,
               const std::string& layout, const numeric::Format* dtype, base::ThreadPool& pool);

base::Json to_json(const LayerReport& layer);
// BadInput, naming `where`, for anything but what to_json() gives.
LayerReport layer_from_json(const base::Json& json, const std::string& where);

// The keys of `quantize --json` and `convert --json`, with peak_ram_bytes of this process.
base::Json to_json(const Report& report);

}  // namespace aquatint::quant
