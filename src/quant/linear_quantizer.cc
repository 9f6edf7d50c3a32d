#include "quant/linear_quantizer.h"

#include <algorithm>
#include <cmath>

#include "base/machine.h"
#include "quant/plain_tensors.h"

namespace aquatint::quant {
namespace {

// `values` are used up.
void measure_error(std::vector<float>& values, const tensor::QuantizedMatrix& quantized,
                   const InputStatistics* inputs, base::ThreadPool& pool, LayerReport& layer) {
  std::vector<float> found = values_of(quantized, pool);
  if (!inputs) return void(layer.relative_error = relative_error(values, found));
  for (size_t i = 0; i < found.size(); ++i) found[i] -= values[i];
  const double size = inputs->output_error(values);
  layer.relative_error = size > 0 ? inputs->output_error(found) / size : 0;
  layer.error_basis = "calibration";
  layer.tokens = inputs->tokens();
  if (const Feedback* feedback = inputs->last_feedback()) {
    layer.damping = feedback->damping;
    layer.condition = feedback->condition;
    layer.note = feedback->note;
  }
}

}  // namespace

float shared_largest(std::span<const ModelMatrix> linears, BlockWeights* weights, const Run& run) {
  float largest = 0;
  for (const ModelMatrix& matrix : linears) {
    const numeric::Scheme* scheme = run.plan.scheme_of(matrix);
    if (!scheme || scheme->weights.scale_format != &numeric::fp8_e4m3) continue;
    const std::vector<float> values =
        weights ? weights->values(matrix) : source_values(run.source, matrix, run.pool());
    for (const float value : values) largest = std::max(largest, std::fabs(value));
  }
  return largest;
}

tensor::QuantizedMatrix write_linear(const ModelMatrix& matrix, BlockWeights* weights,
                                     const InputStatistics* inputs, float largest,
                                     tensor::QuantizedMatrix* found, Run& run) {
  const auto start = base::Clock::now();
  const Plan& plan = run.plan;
  std::vector<float> values =
      weights ? std::move(weights->values(matrix)) : source_values(run.source, matrix, run.pool());
  const Assignment& assignment = plan.of(matrix);
  if (!assignment.scheme) {
    tensor::QuantizedMatrix plain = rounded_matrix(values, matrix.rows, matrix.cols, *plan.dtype);
    run.writer.plain(matrix.module, plain, *plan.dtype);
    return plain;
  }
  MethodOptions options{
      .clip = assignment.clip, .largest = largest, .inputs = inputs, .settings = plan.codes.settings};
  if (inputs) options.importance = inputs->importance();
  tensor::QuantizedMatrix quantized =
      found ? std::move(*found)
            : plan.codes.method->quantize(values, matrix.rows, matrix.cols, assignment.scheme->weights,
                                          options, run.pool());
  for (const MethodStep& step : plan.compensations)
    step.method->compensate(values, step.settings, inputs, run.backend, quantized);
  quantized.input = calibrated_input(*assignment.scheme, inputs);
  run.writer.quantized(matrix.module, quantized, *assignment.scheme);
  LayerReport layer = layer_report(plan, matrix);
  layer.bytes = quantized.stored_bytes;
  measure_error(values, quantized, inputs, run.pool(), layer);
  layer.seconds = base::seconds_since(start);
  run.report.layers.push_back(std::move(layer));
  return quantized;
}

}  // namespace aquatint::quant
