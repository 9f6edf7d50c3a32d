#include "quant/pipeline.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "base/machine.h"
#include "checkpoint/writer.h"
#include "model/staged_block.h"
#include "quant/block_weights.h"
#include "quant/plain_tensors.h"
#include "quant/plan.h"
#include "quant/provenance.h"

namespace aquatint::quant {
namespace {

using model::Stage;

// Writes a model block by block.
class ModelWriter {
 public:
  ModelWriter(const checkpoint::Checkpoint& source, const std::filesystem::path& to, const Plan& plan,
              const QuantizeJob& job, const model::Backend& backend, Report& report)
      : source_(source),
        plan_(plan),
        backend_(backend),
        pool_(*backend.pool),
        report_(report),
        writer_(to, source, plan.layout, plan.dtype),
        total_(static_cast<int64_t>(plan.tensors.matrices.size())) {
    writer_.record(provenance(job.recipe, job.calibration, source));
    if (job.calibration)
      states_ = model::embed_sequences(job.calibration->sequences,
                                       read_matrix(source, plan.tensors.matrices.front(), pool_),
                                       plan.tensors.config, backend);
  }

  void run() {
    int64_t layer = 0;
    for (const ModelMatrix& matrix : plan_.tensors.matrices) {
      if (!matrix.linear)
        write_plain(matrix);
      else if (matrix.layer == layer)
        write_layer(layer++);
    }
    write_vectors(plan_.tensors, source_, changed_, *plan_.dtype, writer_);
    base::progress("quantize", total_, total_, "matrices");
    writer_.finish();  // after the last chance to be stopped
  }

 private:
  void write_layer(int64_t layer) {
    if (plan_.transforms.empty())
      write_block(layer, model::load_block_vectors(source_, plan_.tensors.config, layer), nullptr, nullptr);
    else
      write_transformed_block(layer);
  }

  void write_plain(const ModelMatrix& matrix) {
    base::progress("quantize", done_++, total_, "matrices");
    writer_.plain(matrix.module, read_matrix(source_, matrix, pool_), *plan_.dtype);
  }

  // Runs the block as it is to see its inputs, lets the methods change it, then finds codes: by inputs that
  // come from the changed and rounded block where the method reads them, by those already seen otherwise.
  void write_transformed_block(int64_t layer) {
    BlockWeights weights(source_, plan_, layer, pool_);
    const bool again = plan_.codes.method->needs_calibration;
    std::optional<model::HiddenStates> before;
    if (again) before = states_;
    BlockStatistics seen = observe(layer, weights);
    for (const MethodStep& step : plan_.transforms)
      step.method->transform(weights, seen, step.settings, pool_);
    changed_.merge(weights.changeable_vectors());
    if (again) states_ = std::move(before);
    write_block(layer, weights.vectors(), &weights, again ? nullptr : &seen);
  }

  // The statistics of the block's inputs, its weights being as they are; the states move on behind it.
  BlockStatistics observe(int64_t layer, BlockWeights& weights) {
    BlockStatistics seen;
    model::Block block = weights.vectors();
    model::StagedBlock staged(plan_.tensors.config, backend_, layer, *states_);
    staged.enter(block);
    for (const Stage stage : model::kStages) {
      seen.set(stage, measure(staged, layer, stage));
      std::vector<tensor::QuantizedMatrix> parts;
      for (const BlockWeights::Linear& linear : weights.linears(stage))
        parts.push_back(tensor::plain_matrix(linear.values, linear.matrix->rows, linear.matrix->cols));
      run_stage(staged, block, stage, parts);
    }
    return seen;
  }

  // Finds and writes the codes of a block. `weights`: its values, where they are not the source's; `seen`:
  // what is known of its inputs; otherwise calibration goes through it as its linears are done.
  void write_block(int64_t layer, model::Block block, BlockWeights* weights, BlockStatistics* seen) {
    std::optional<model::StagedBlock> staged;
    if (states_ && !seen) {
      staged.emplace(plan_.tensors.config, backend_, layer, *states_);
      staged->enter(block);
    }
    for (const Stage stage : model::kStages) {
      std::optional<InputStatistics> measured;
      if (staged) measured.emplace(measure(*staged, layer, stage));
      const InputStatistics* inputs = seen ? &seen->at(stage) : measured ? &*measured : nullptr;
      const float largest = shared_largest(plan_.tensors.linears(layer, stage), weights);
      std::vector<tensor::QuantizedMatrix> parts;
      for (const ModelMatrix& matrix : plan_.tensors.linears(layer, stage)) {
        base::progress("quantize", done_++, total_, "matrices");
        tensor::QuantizedMatrix written = write_linear(matrix, weights, inputs, largest);
        if (staged) parts.push_back(std::move(written));
      }
      if (staged) run_stage(*staged, block, stage, parts);
    }
  }

  InputStatistics measure(const model::StagedBlock& staged, int64_t layer, Stage stage) {
    return InputStatistics(staged.input(), model::input_width(stage, plan_.tensors.config),
                           plan_.tensors.linears(layer, stage).front().module, backend_);
  }

  void run_stage(model::StagedBlock& staged, model::Block& block, Stage stage,
                 const std::vector<tensor::QuantizedMatrix>& parts) {
    model::Linear& linear = model::linear_of(block, stage);
    model::pack_linear(linear, parts, backend_);
    staged.run(block, stage);
    linear.pieces.clear();
  }

  // The largest weight of linears that servers fuse, where a scale of the whole matrix is taken from it; else
  // 0.
  float shared_largest(std::span<const ModelMatrix> linears, BlockWeights* weights) {
    float largest = 0;
    for (const ModelMatrix& matrix : linears) {
      const numeric::Scheme* scheme = plan_.scheme_of(matrix);
      if (!scheme || !scheme->weights.has_divisor()) continue;
      const std::vector<float> values =
          weights ? weights->values(matrix) : values_of(read_matrix(source_, matrix, pool_), pool_);
      for (const float value : values) largest = std::max(largest, std::fabs(value));
    }
    return largest;
  }

  // What the written model will hold.
  tensor::QuantizedMatrix write_linear(const ModelMatrix& matrix, BlockWeights* weights,
                                       const InputStatistics* inputs, float largest) {
    const auto start = base::Clock::now();
    const std::vector<float> values =
        weights ? std::move(weights->values(matrix)) : values_of(read_matrix(source_, matrix, pool_), pool_);
    const Assignment& assignment = plan_.of(matrix);
    if (!assignment.scheme) {
      tensor::QuantizedMatrix plain = rounded_matrix(values, matrix.rows, matrix.cols, *plan_.dtype);
      writer_.plain(matrix.module, plain, *plan_.dtype);
      return plain;
    }
    MethodOptions options{
        .clip = assignment.clip, .largest = largest, .inputs = inputs, .settings = plan_.codes.settings};
    if (inputs) options.importance = inputs->importance();
    tensor::QuantizedMatrix quantized = plan_.codes.method->quantize(
        values, matrix.rows, matrix.cols, assignment.scheme->weights, options, pool_);
    quantized.input = input_scheme(*assignment.scheme, inputs);
    writer_.quantized(matrix.module, quantized, *assignment.scheme);
    LayerReport layer = layer_report(plan_, matrix);
    layer.bytes = quantized.stored_bytes;
    measure_error(values, quantized, inputs, layer);
    layer.seconds = base::seconds_since(start);
    report_.layers.push_back(std::move(layer));
    return quantized;
  }

  static numeric::ActivationScheme input_scheme(const numeric::Scheme& scheme,
                                                const InputStatistics* inputs) {
    numeric::ActivationScheme input = scheme.input;
    if (!input.needs_calibration()) return input;
    const auto seen = inputs->max_magnitude();
    const float largest = std::max(*std::max_element(seen.begin(), seen.end()), 1e-6f);
    input.static_scale =
        input.dynamic ? input.scale_format->max * input.format->max / largest : largest / input.format->max;
    return input;
  }

  void measure_error(const std::vector<float>& values, const tensor::QuantizedMatrix& quantized,
                     const InputStatistics* inputs, LayerReport& layer) {
    std::vector<float> found = values_of(quantized, pool_);
    if (!inputs) return void(layer.relative_error = relative_error(values, found));
    for (size_t i = 0; i < found.size(); ++i) found[i] -= values[i];
    const double size = inputs->output_error(values);
    layer.relative_error = size > 0 ? inputs->output_error(found) / size : 0;
    layer.error_basis = "calibration";
    layer.tokens = inputs->tokens();
    if (const Feedback* feedback = inputs->last_feedback()) {
      layer.damping = feedback->damping;
      layer.condition = feedback->condition;
    }
  }

  const checkpoint::Checkpoint& source_;
  const Plan& plan_;
  const model::Backend& backend_;
  base::ThreadPool& pool_;
  Report& report_;
  checkpoint::Writer writer_;
  std::optional<model::HiddenStates> states_;          // of the calibration tokens, before the block at hand
  std::map<std::string, std::vector<float>> changed_;  // norms and biases that are no longer the source's
  int64_t done_ = 0, total_ = 0;
};

}  // namespace

Report quantize(const checkpoint::Checkpoint& source, const std::filesystem::path& to, const QuantizeJob& job,
                const model::Backend& backend) {
  const auto start = base::Clock::now();
  Report report;
  const Plan plan = make_plan(source, job, report);
  if (job.dry_run) {
    predict_sizes(plan, report);
  } else {
    ModelWriter(source, to, plan, job, backend, report).run();
    read_sizes(to, report);
  }
  report.seconds = base::seconds_since(start);
  return report;
}

}  // namespace aquatint::quant
