#include "quant/footprint.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "base/machine.h"
#include "model/kv_cache.h"
#include "quant/input_statistics.h"

namespace aquatint::quant {
namespace fs = std::filesystem;
namespace {

using model::Stage;

constexpr double kFloat = sizeof(float);
constexpr double kStepRows = 512;           // of model::StagedBlock
constexpr double kSpilledTokens = 4096;     // of InputStatistics
constexpr double kChunk = double{1 << 22};  // of a matrix that stays as it is, and of copies of states

// The bytes of one decoder block on its way through BlockQuantizer.
class BlockMemory {
 public:
  BlockMemory(const Plan& plan, int64_t layer, int64_t tokens, bool spilled)
      : plan_(plan), layer_(layer), tokens_(static_cast<double>(tokens)), spilled_(spilled) {}

  double peak() const {
    const double held = owns_values() ? all_values() : 0;
    const double states = (state_array(hidden()) + rooms()) * (corrects() ? 2 : 1);
    const bool transformed = !plan_.transforms.empty();
    double most = 0;
    if (transformed) {
      const double before = again() ? state_array(hidden()) : 0;
      for (const Stage stage : model::kStages)
        most = std::max(most, held + states + before + observing(stage));
      most = std::max(most, held + states + before + grams_until(Stage::down) + trial());
    }
    if (plan_.codes.method->learn) most = std::max(most, held + states + step() + learned());
    const bool running = tokens_ > 0 && (!transformed || again());
    for (const Stage stage : model::kStages) {
      double around = held + states;
      if (!running) around += grams_until(Stage::down);
      if (running) around += (corrects() ? 2 : 1) * step() + gram(stage);
      most = std::max(most, around + coding(stage) + (running ? input(stage) : 0));
      if (corrects()) most = std::max(most, around + 5 * gram(stage));
      if (running) most = std::max(most, around + advancing(stage, corrects() ? kFloat : 1));
    }
    return most;
  }

 private:
  double hidden() const { return static_cast<double>(plan_.tensors.config.hidden_size); }
  double width(Stage stage) const {
    return static_cast<double>(model::input_width(stage, plan_.tensors.config));
  }
  bool corrects() const { return tokens_ > 0 && plan_.keeps_exact_states(); }
  bool again() const { return plan_.codes.method->needs_calibration || corrects(); }
  // BlockWeights holds the block, and matrices are not read again.
  bool owns_values() const { return !plan_.transforms.empty() || plan_.rotations.any() || corrects(); }
  std::span<const ModelMatrix> linears(Stage stage) const { return plan_.tensors.linears(layer_, stage); }
  static double weights(const ModelMatrix& m) { return static_cast<double>(m.rows * m.cols); }
  double stage_weights(Stage stage) const {
    double sum = 0;
    for (const ModelMatrix& m : linears(stage)) sum += weights(m);
    return sum;
  }
  double all_values() const {
    double sum = 0;
    for (const Stage stage : model::kStages) sum += stage_weights(stage);
    return sum * kFloat;
  }

  // What of an array [tokens][width] is in memory.
  double state_array(double width) const { return spilled_ ? 0 : tokens_ * width * kFloat; }
  // Of model::HiddenStates, for the inputs of linears.
  double rooms() const {
    return state_array(hidden()) + state_array(std::max(width(Stage::attention_out), width(Stage::down)));
  }
  // What of inputs that lie in files is read at a time.
  double input(Stage stage) const {
    return spilled_ ? std::min(tokens_, kSpilledTokens) * width(stage) * kFloat : 0;
  }
  // The inputs' statistics: H, and tokens of a sample.
  double gram(Stage stage) const {
    if (tokens_ == 0) return 0;
    return width(stage) * kFloat * (InputStatistics::kSample + (plan_.needs_gram() ? width(stage) : 0));
  }
  double grams_until(Stage stage) const {
    double sum = 0;
    for (const Stage s : model::kStages)
      if (s <= stage) sum += gram(s);
    return sum;
  }
  // model::Step and the statistics' transposed rows.
  double step() const {
    const model::Config& c = plan_.tensors.config;
    const auto qkv = static_cast<double>(c.q_width() + 2 * c.kv_width());
    const auto mlp = static_cast<double>(c.intermediate_size);
    return kStepRows * kFloat *
           (2 * hidden() + qkv + static_cast<double>(c.q_width()) + 3 * mlp + std::max(qkv, 2 * mlp));
  }
  // The stage's linears, packed. `code_bytes` of an unpacked weight.
  double advancing(Stage stage, double code_bytes) const {
    const double packed_bytes = code_bytes > 1 ? 2 : packed_code_bytes(stage);
    return stage_weights(stage) * (code_bytes + packed_bytes);
  }
  double packed_code_bytes(Stage stage) const {
    double most = 0;
    for (const ModelMatrix& m : linears(stage)) {
      const numeric::Scheme* scheme = plan_.scheme_of(m);
      most = std::max(most, scheme ? static_cast<double>(scheme->weights.format->bits) / 8 : 2.0);
    }
    return most;
  }

  double observing(Stage stage) const {
    return step() + grams_until(stage) + std::max(input(stage), advancing(stage, kFloat));
  }
  // A method that tries scales: the scaled weights, their codes, and what they lose.
  double trial() const {
    double most = 0;
    for (const Stage stage : model::kStages)
      for (const ModelMatrix& m : linears(stage)) most = std::max(most, weights(m) * (2 * kFloat + 1));
    return most;
  }
  // Weights that move, their gradients and moments, codes, and what they are rounded to, packed twice.
  double learned() const { return all_values() / kFloat * (5 * kFloat + 2 + 2 * 2); }
  // Methods that factorize H: ordered, FP64 and inverted; what stays is the last.
  double factor() const { return plan_.codes.method->needs_calibration ? 1.0 : 0.0; }

  double coding(Stage stage) const {
    const double n = width(stage), square = n * n * kFloat * factor();
    double most = 0, kept = 0;
    for (const ModelMatrix& m : linears(stage)) {
      const double own = weights(m) * (owns_values() ? 0 : kFloat);
      const double codes = weights(m), found = weights(m) * kFloat;
      most = std::max({most, kept + own + codes + 4 * square, kept + own + codes + square + found,
                       kept + own + weights(m) * 2});
      if (tokens_ > 0) kept += codes;
    }
    return most;
  }

  const Plan& plan_;
  int64_t layer_;
  double tokens_;
  bool spilled_;
};

// A whole model that samples its own calibration: its weights and the caches of all sequences.
double sampling(const checkpoint::Checkpoint& source, const ModelTensors& tensors,
                const CalibrationSet& calibration) {
  double bytes = 0;
  for (const checkpoint::WeightInfo& weight : source.weights())
    bytes += static_cast<double>(weight.stored_bytes);
  if (tensors.config.tied_embeddings)
    bytes += static_cast<double>(2 * tensors.config.vocab_size * tensors.config.hidden_size);
  for (const auto& sequence : calibration.sequences)
    bytes += static_cast<double>(model::KvCache::bytes(tensors.config, static_cast<int64_t>(sequence.size()),
                                                       kernels::KvFormat::bf16));
  return bytes;
}

uint64_t folder_bytes(const fs::path& folder) {
  uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    if (std::error_code ignored; at->is_regular_file(ignored)) bytes += at->file_size(ignored);
  return bytes;
}

double gigabytes(uint64_t bytes) { return static_cast<double>(bytes) / 1e9; }

}  // namespace

Footprint footprint(const checkpoint::Checkpoint& source, const Plan& plan, const QuantizeJob& job,
                    const Report& report, bool spilled) {
  const ModelTensors& tensors = plan.tensors;
  const int64_t tokens = job.calibration ? job.calibration->tokens() : 0;
  double most = kChunk * 3;
  for (int64_t layer = 0; layer < tensors.config.layers; ++layer)
    most = std::max(most, BlockMemory(plan, layer, tokens, spilled).peak());
  if (job.recipe.calibration && job.recipe.calibration->self && job.calibration)
    most = std::max(most, sampling(source, tensors, *job.calibration));
  const double states = static_cast<double>(tokens * tensors.config.hidden_size) * kFloat;
  double disk = static_cast<double>(report.bytes) + 2 * states;
  for (const checkpoint::SideFile& file : source.side_files()) disk += static_cast<double>(file.bytes.size());
  if (spilled)
    disk += states * 2 +
            static_cast<double>(tokens * (tensors.config.intermediate_size + tensors.config.hidden_size)) *
                kFloat;
  return {base::ram_bytes() + static_cast<uint64_t>(most), static_cast<uint64_t>(disk), spilled};
}

Footprint choose_footprint(const checkpoint::Checkpoint& source, const Plan& plan, const QuantizeJob& job,
                           const Report& report) {
  const uint64_t budget = job.ram_bytes > 0 ? job.ram_bytes : base::total_ram_bytes();
  const Footprint first = footprint(source, plan, job, report, job.spill && job.calibration);
  if (first.peak_ram <= budget || !job.calibration || plan.keeps_exact_states()) return first;  // not spilled
  return footprint(source, plan, job, report, true);
}

std::string what_is_short(const Footprint& needed, const fs::path& to, const QuantizeJob& job) {
  if (job.ram_bytes > 0 && needed.peak_ram > job.ram_bytes)
    return fmt::format(
        "--ram {:.3g} is too little: this model, recipe and calibration need {:.2f} GB; give --ram {:.2f}",
        gigabytes(job.ram_bytes), gigabytes(needed.peak_ram), gigabytes(needed.peak_ram) + 0.01);
  const fs::path target = fs::absolute(to);
  std::error_code error;
  const fs::space_info space = fs::space(target.parent_path(), error);
  const uint64_t have = space.available + folder_bytes(target.string() + ".partial");
  if (error || needed.disk <= have) return {};
  return fmt::format("{}: {:.2f} GB of disk are free, {:.2f} are needed; choose another --to",
                     target.parent_path().string(), gigabytes(have), gigabytes(needed.disk));
}

}  // namespace aquatint::quant
