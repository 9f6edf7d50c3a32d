#include "quant/pipeline.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/log.h"
#include "base/machine.h"
#include "checkpoint/writer.h"
#include "quant/model_tensors.h"
#include "quant/plain_tensors.h"

namespace aquatint::quant {
namespace {

using numeric::Granularity;

constexpr int kSmallestGroup = 16;  // below it scales take more than a bit per weight

// Everything that is decided before the first matrix is read.
struct Plan {
  ModelTensors tensors;
  numeric::Scheme scheme;  // group and scale format as really used
  const Method* method = nullptr;
  Clip clip = Clip::none;
  std::string layout;
  const numeric::Format* dtype = nullptr;
  base::Json provenance = {};
};

// FP8_BLOCK's tiles count: their inputs are rounded in groups that must divide the width.
bool has_groups(const numeric::WeightScheme& w) {
  return w.granularity == Granularity::group || w.granularity == Granularity::block;
}

void refuse_group(const numeric::Scheme& scheme, int group) {
  if ((!has_groups(scheme.weights) || scheme.weights.fixed_group()) && group != 0)
    throw base::BadUsage(fmt::format("--group {}: {} has no group size to choose", group, scheme.name));
}

void note(Report& report, std::string text) {
  base::warn("{}", text);
  report.notes.push_back(std::move(text));
}

void check_source(const checkpoint::Checkpoint& source, const numeric::Scheme& scheme, Report& report) {
  const std::string already = source.scheme();
  if (already.empty()) return;
  if (already == scheme.name)
    throw base::BadUsage(
        fmt::format("{} is already {}: use it as it is, or change its layout with `aquatint convert`",
                    source.path().string(), already));
  note(report, fmt::format("{} is already quantized ({}): the errors given are relative to those weights, "
                           "not to the model before it",
                           source.path().filename().string(), already));
}

void set_group(int wanted, Plan& plan, Report& report) {
  numeric::Scheme& scheme = plan.scheme;
  const int group = choose_group(wanted, plan.tensors.linear_widths());
  if (group != wanted && scheme.weights.fixed_group())
    throw base::BadUsage(
        fmt::format("{} has groups of {}, which do not divide every width of this model; {} would",
                    scheme.name, wanted, group));
  if (group != wanted)
    note(report,
         fmt::format(
             "groups of {} instead of {}: the largest power of two that divides every width of this model",
             group, wanted));
  scheme = numeric::with_group(scheme, group);
}

Plan make_plan(const checkpoint::Checkpoint& source, const QuantizeOptions& options, Report& report) {
  AQ_CHECK(options.scheme, "no scheme");
  check_source(source, *options.scheme, report);
  Plan plan;
  plan.tensors = list_tensors(source);
  plan.scheme = *options.scheme;
  plan.method = &find_method(options.method);
  plan.clip = options.clip.value_or(default_clip(plan.scheme.weights));
  plan.dtype = options.dtype ? options.dtype : &source_dtype(source);
  plan.provenance = options.provenance;
  plan.layout =
      options.layout.empty() ? std::string(checkpoint::default_layout({&plan.scheme, 1})) : options.layout;
  checkpoint::check_layout(plan.layout, {&plan.scheme, 1});
  refuse_group(plan.scheme, options.group);
  if (has_groups(plan.scheme.weights))
    set_group(options.group > 0 ? options.group : plan.scheme.weights.group, plan, report);
  if (plan.scheme.input.needs_calibration())
    throw base::BadUsage(
        fmt::format("{} needs the range of the inputs from calibration; choose FP8_DYNAMIC, FP8_BLOCK, "
                    "NVFP4A16 or MXFP4, which do not",
                    plan.scheme.name));
  if (plan.scheme.weights.scale_format == &numeric::bf16 && plan.dtype == &numeric::fp16)
    plan.scheme.weights.scale_format = &numeric::fp16;
  report.scheme = plan.scheme.name;
  report.method = plan.method->name;
  report.layout = plan.layout;
  report.clip = clip_name(plan.clip);
  report.group = plan.scheme.weights.group;
  return plan;
}

LayerReport layer_report(const Plan& plan, const ModelMatrix& matrix) {
  LayerReport layer;
  layer.name = matrix.module;
  layer.scheme = plan.scheme.name;
  layer.method = plan.method->name;
  layer.rows = matrix.rows;
  layer.cols = matrix.cols;
  return layer;
}

// Exact without reading a weight: a layout's bytes depend on the shape alone.
void predict(const Plan& plan, Report& report) {
  std::map<std::pair<int64_t, int64_t>, std::pair<uint64_t, uint64_t>> by_shape;  // → stored, written bytes
  uint64_t stored_bytes = 0;
  for (const ModelMatrix& matrix : plan.tensors.matrices) {
    if (!matrix.linear) {
      report.bytes += static_cast<uint64_t>(matrix.rows * matrix.cols * plan.dtype->bytes());
      continue;
    }
    auto [found, is_new] = by_shape.try_emplace({matrix.rows, matrix.cols});
    if (is_new) {
      const tensor::QuantizedMatrix empty = empty_matrix(matrix.rows, matrix.cols, plan.scheme.weights);
      found->second = {empty.stored_bytes,
                       checkpoint::written_bytes(plan.layout, empty, plan.scheme, *plan.dtype)};
    }
    LayerReport layer = layer_report(plan, matrix);
    layer.bytes = found->second.first;
    report.layers.push_back(std::move(layer));
    stored_bytes += found->second.first;
    report.bytes += found->second.second;
  }
  for (const ModelVector& vector : plan.tensors.vectors)
    report.bytes += static_cast<uint64_t>(vector.size * plan.dtype->bytes());
  report.parameters = plan.tensors.parameters();
  report.bits_per_weight =
      8.0 * static_cast<double>(stored_bytes) / static_cast<double>(plan.tensors.linear_parameters());
  report.bits_per_parameter =
      8.0 * static_cast<double>(report.bytes) / static_cast<double>(report.parameters);
}

tensor::QuantizedMatrix quantize_matrix(const Plan& plan, const std::vector<float>& values,
                                        const ModelMatrix& matrix, base::ThreadPool& pool) {
  auto result =
      plan.method->quantize(values, matrix.rows, matrix.cols, plan.scheme.weights, {plan.clip, {}}, pool);
  result.input = plan.scheme.input;
  return result;
}

void write_linear(const Plan& plan, const checkpoint::Checkpoint& source, const ModelMatrix& matrix,
                  checkpoint::Writer& writer, Report& report, base::ThreadPool& pool) {
  const std::vector<float> values = values_of(read_matrix(source, matrix, pool), pool);
  const tensor::QuantizedMatrix quantized = quantize_matrix(plan, values, matrix, pool);
  LayerReport layer = layer_report(plan, matrix);
  layer.bytes = quantized.stored_bytes;
  layer.relative_error = relative_error(values, values_of(quantized, pool));
  writer.quantized(matrix.module, quantized, plan.scheme);
  report.layers.push_back(std::move(layer));
}

void write_model(const Plan& plan, const checkpoint::Checkpoint& source, const std::filesystem::path& to,
                 Report& report, base::ThreadPool& pool) {
  checkpoint::Writer writer(to, source, plan.layout, plan.dtype);
  writer.record(plan.provenance);
  int64_t done = 0;
  const auto total = static_cast<int64_t>(plan.tensors.matrices.size());
  for (const ModelMatrix& matrix : plan.tensors.matrices) {
    base::progress("quantize", done++, total, "matrices");
    if (matrix.linear)
      write_linear(plan, source, matrix, writer, report, pool);
    else
      writer.plain(matrix.module, read_matrix(source, matrix, pool), *plan.dtype);
  }
  write_vectors(plan.tensors, source, *plan.dtype, writer);
  writer.finish();
  base::progress("quantize", total, total, "matrices");
  read_sizes(to, report);
}

}  // namespace

int choose_group(int wanted, const std::vector<int64_t>& widths) {
  if (wanted < kSmallestGroup)
    throw base::BadUsage(fmt::format("--group {}: expected at least {}", wanted, kSmallestGroup));
  int group = kSmallestGroup;
  while (group <= wanted / 2) group *= 2;
  for (const int64_t width : widths) {
    while (group >= kSmallestGroup && width % group != 0) group /= 2;
    if (group < kSmallestGroup)
      throw base::BadUsage(
          fmt::format("a matrix has {} columns, which no power of two from {} divides; choose a scheme with "
                      "one scale per "
                      "channel (W8A16, W8A8, FP8_DYNAMIC) or flat blocks (NF4)",
                      width, kSmallestGroup));
  }
  return group;
}

Report quantize(const checkpoint::Checkpoint& source, const std::filesystem::path& to,
                const QuantizeOptions& options, base::ThreadPool& pool) {
  const auto start = base::Clock::now();
  Report report;
  const Plan plan = make_plan(source, options, report);
  if (options.dry_run)
    predict(plan, report);
  else
    write_model(plan, source, to, report, pool);
  report.seconds = base::seconds_since(start);
  return report;
}

}  // namespace aquatint::quant
