#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "base/machine.h"
#include "quant/plain_tensors.h"

namespace aquatint::quant {
namespace {

constexpr std::string_view kPlainLayout = "safetensors";

// What the rounding of one matrix to `dtype` does to it.
LayerReport rounded(const ModelMatrix& matrix, const tensor::QuantizedMatrix& found,
                    const numeric::Format& dtype, base::ThreadPool& pool) {
  const std::vector<float> values = values_of(found, pool);
  std::vector<float> stored(values.size());
  pool.parallel_for(matrix.rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * matrix.cols; i < end * matrix.cols; ++i)
      stored[static_cast<size_t>(i)] = dtype.decode(dtype.encode(values[static_cast<size_t>(i)]));
  });
  LayerReport layer;
  layer.name = matrix.module;
  layer.scheme = dtype.name;
  layer.rows = matrix.rows;
  layer.cols = matrix.cols;
  layer.bytes = values.size() * static_cast<size_t>(dtype.bytes());
  layer.relative_error = relative_error(values, stored);
  return layer;
}

// The preset that the source follows, with its own group size and scale type, so that the target can say it
// exactly.
numeric::Scheme source_scheme(const checkpoint::Checkpoint& source, const ModelTensors& tensors,
                              const std::string& layout) {
  const std::string name = source.scheme(), where = source.path().string();
  if (name.empty())
    throw base::BadUsage(
        fmt::format("{} is not quantized; use `aquatint quantize --layout {}`, or convert to safetensors",
                    where, layout));
  const numeric::Scheme* preset = numeric::find_scheme(name);
  if (!preset)
    throw base::BadUsage(
        fmt::format("{} is {}, which layout {} cannot say exactly; convert to safetensors, or quantize anew",
                    where, name, layout));
  numeric::Scheme scheme = *preset;
  std::optional<int64_t> group;
  for (const ModelMatrix& matrix : tensors.matrices) {
    if (!matrix.linear || !source.has_weight(matrix.module)) continue;
    const tensor::QuantizedMatrix found = source.weight(matrix.module);
    if (found.plain()) continue;
    const int64_t length = found.flat_block > 0 ? found.flat_block : found.block_cols;
    if (scheme.weights.granularity != numeric::Granularity::channel && group.value_or(length) != length)
      throw base::BadUsage(
          fmt::format("{}: groups of {} and of {} columns; layout {} is written with one size only", where,
                      *group, length, layout));
    group = length;
    if (!scheme.weights.double_quantized) scheme.weights.scale_format = found.scales.format;
  }
  if (scheme.weights.group > 0) scheme.weights.group = static_cast<int>(group.value_or(scheme.weights.group));
  return scheme;
}

struct Target {
  std::optional<numeric::Scheme> scheme;  // none: plain
  const numeric::Format& dtype;
  checkpoint::Writer& writer;
};

void write_matrix(const checkpoint::Checkpoint& source, const ModelMatrix& matrix, const Target& target,
                  Report& report, base::ThreadPool& pool) {
  const tensor::QuantizedMatrix found = read_matrix(source, matrix, pool);
  if (!target.scheme || found.plain()) {
    report.layers.push_back(rounded(matrix, found, target.dtype, pool));
    target.writer.plain(matrix.module, found, target.dtype);
    return;
  }
  target.writer.quantized(matrix.module, found);
  LayerReport layer;
  layer.name = matrix.module;
  layer.scheme = target.scheme->name;
  layer.rows = matrix.rows;
  layer.cols = matrix.cols;
  layer.bytes = found.stored_bytes;
  report.layers.push_back(std::move(layer));
}

}  // namespace

Report convert(const checkpoint::Checkpoint& source, const std::filesystem::path& to,
               const std::string& layout, const numeric::Format* dtype, base::ThreadPool& pool) {
  const auto start = base::Clock::now();
  const ModelTensors tensors = list_tensors(source);
  std::optional<numeric::Scheme> scheme;
  if (layout != kPlainLayout) scheme = source_scheme(source, tensors, layout);
  const numeric::Format& plain = dtype ? *dtype : source_dtype(source);
  const int group = scheme ? scheme->weights.group : 0;

  Report report;
  report.scheme = scheme ? scheme->name : "";
  report.layout = layout;
  report.group = group;
  checkpoint::Writer writer(to, source, layout, scheme ? &*scheme : nullptr, group, &plain);
  const Target target{scheme, plain, writer};
  int64_t done = 0;
  for (const ModelMatrix& matrix : tensors.matrices) {
    base::progress("convert", done++, static_cast<int64_t>(tensors.matrices.size()), "matrices");
    write_matrix(source, matrix, target, report, pool);
  }
  write_vectors(tensors, source, plain, writer);
  writer.finish();
  base::progress("convert", done, done, "matrices");
  read_sizes(to, report);
  report.seconds = base::seconds_since(start);
  return report;
}

}  // namespace aquatint::quant
