#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/log.h"
#include "base/machine.h"
#include "checkpoint/kv_cache.h"
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

using Schemes = std::map<std::string, numeric::Scheme, std::less<>>;  // by module

// What each linear of the source is stored as; empty for a plain target.
Schemes source_schemes(const checkpoint::Checkpoint& source, const std::string& layout) {
  Schemes schemes;
  if (layout == kPlainLayout) return schemes;
  const std::string name = source.scheme(), where = source.path().string();
  if (name.empty())
    throw base::BadUsage(
        fmt::format("{} is not quantized; use `aquatint quantize --layout {}`, or convert to safetensors",
                    where, layout));
  std::vector<numeric::Scheme> all;
  for (const checkpoint::WeightInfo& weight : source.weights()) {
    if (!weight.quantized) continue;
    if (!weight.scheme)
      throw base::BadUsage(fmt::format(
          "{} is {}, which layout {} cannot say exactly; convert to safetensors, or quantize anew", where,
          name, layout));
    schemes.emplace(weight.module, *weight.scheme);
    all.push_back(*weight.scheme);
  }
  checkpoint::check_layout(layout, all);
  return schemes;
}

// 0 when they differ or there is none.
int common_group(const Schemes& schemes) {
  int group = schemes.empty() ? 0 : schemes.begin()->second.weights.group;
  for (const auto& [module, scheme] : schemes)
    if (scheme.weights.group != group) return 0;
  return group;
}

struct Target {
  const Schemes& schemes;
  const numeric::Format& dtype;
  checkpoint::Writer& writer;
};

void write_matrix(const checkpoint::Checkpoint& source, const ModelMatrix& matrix, const Target& target,
                  Report& report, base::ThreadPool& pool) {
  const tensor::QuantizedMatrix found = read_matrix(source, matrix, pool);
  const auto scheme = target.schemes.find(matrix.module);
  if (scheme == target.schemes.end()) {
    report.layers.push_back(rounded(matrix, found, target.dtype, pool));
    target.writer.plain(matrix.module, found, target.dtype);
    return;
  }
  target.writer.quantized(matrix.module, found, scheme->second);
  LayerReport layer;
  layer.name = matrix.module;
  layer.scheme = scheme->second.name;
  layer.rows = matrix.rows;
  layer.cols = matrix.cols;
  layer.bytes = found.stored_bytes;
  report.layers.push_back(std::move(layer));
}

// What the source asks of its cache, with its scales.
void copy_kv_cache(const checkpoint::Checkpoint& source, int64_t layers, checkpoint::Writer& writer) {
  const auto scheme = checkpoint::kv_scheme(source);
  if (!scheme) return;
  writer.kv_cache(*scheme);
  if (scheme->dynamic) return;
  const int64_t one[] = {1};
  for (int64_t layer = 0; layer < layers; ++layer) {
    const auto [key, value] = checkpoint::kv_scales(source, layer);
    writer.plain(checkpoint::kv_scale_name(layer, 'k'), one, {&key, 1}, numeric::fp32);
    writer.plain(checkpoint::kv_scale_name(layer, 'v'), one, {&value, 1}, numeric::fp32);
  }
}

}  // namespace

Report convert(const checkpoint::Checkpoint& source, const std::filesystem::path& to,
               const std::string& layout, const numeric::Format* dtype, base::ThreadPool& pool) {
  const auto start = base::Clock::now();
  const ModelTensors tensors = list_tensors(source);
  const Schemes schemes = source_schemes(source, layout);
  const numeric::Format& plain = dtype ? *dtype : source_dtype(source);

  check_says_rotations(layout, tensors.config);

  Report report;
  report.scheme = schemes.empty() ? "" : source.scheme();
  report.layout = layout;
  report.group = common_group(schemes);
  checkpoint::Writer writer(to, source, layout, &plain);
  if (const auto record = source.config().find(checkpoint::kProvenanceKey); record != source.config().end())
    writer.record(*record);
  copy_kv_cache(source, tensors.config.layers, writer);
  const Target target{schemes, plain, writer};
  int64_t done = 0;
  for (const ModelMatrix& matrix : tensors.matrices) {
    base::progress("convert", done++, static_cast<int64_t>(tensors.matrices.size()), "matrices");
    write_matrix(source, matrix, target, report, pool);
  }
  write_vectors(tensors.vectors, source, {}, plain, writer);
  writer.finish();
  base::progress("convert", done, done, "matrices");
  read_sizes(to, report);
  report.seconds = base::seconds_since(start);
  return report;
}

}  // namespace aquatint::quant
