#include <algorithm>

#include "base/error.h"
#include "checkpoint/layouts/aquatint.h"
#include "checkpoint/layouts/module_targets.h"
#include "checkpoint/layouts/packing.h"

namespace aquatint::checkpoint {
using base::Json;
using numeric::Granularity;
using numeric::Scheme;
using tensor::QuantizedMatrix;
using tensor::Scales;
namespace {

std::string_view name_of(Granularity granularity) {
  return std::find_if(kGranularityNames.begin(), kGranularityNames.end(),
                      [&](const GranularityName& n) { return n.granularity == granularity; })
      ->name;
}

const ScaleDtype* scale_dtype(const numeric::Format& format) {
  const auto* found = std::find_if(kScaleDtypes.begin(), kScaleDtypes.end(),
                                   [&](const ScaleDtype& d) { return d.format == &format; });
  return found == kScaleDtypes.end() ? nullptr : found;
}

// Rows of codes, each a stream of bits that starts at a byte.
void write_rows(const std::string& name, const uint8_t* codes, int64_t rows, int64_t cols, int bits,
                TensorSink& sink) {
  const int64_t bytes = packed_byte_count(cols, bits);
  std::vector<uint8_t> packed(static_cast<size_t>(rows * bytes));
  for (int64_t r = 0; r < rows; ++r) pack_bytes(codes + r * cols, cols, bits, packed.data() + r * bytes);
  sink.add(name, "U8", {rows, bytes}, std::as_bytes(std::span(packed)));
}

void write_floats(const std::string& name, std::span<const float> values, TensorSink& sink) {
  sink.add(name, "F32", {std::ssize(values)}, std::as_bytes(values));
}

void write_scales(const std::string& name, const Scales& scales, const std::vector<int64_t>& grid,
                  TensorSink& sink) {
  const bool table = !scales.table.empty();
  sink.add(name, table ? "U8" : scale_dtype(*scales.format)->dtype, grid, scales.codes.bytes());
  if (table) write_floats(name + "_table", scales.table, sink);
  if (scales.super_format)
    sink.add(name + (scales.super_divides ? "_divisor" : "_super"), "F32",
             {static_cast<int64_t>(scales.super.size() / sizeof(float))}, scales.super.bytes());
  if (table) write_floats(name + "_offset", {&scales.offset, 1}, sink);
}

void write_factor(const std::string& name, const QuantizedMatrix& m, TensorSink& sink) {
  sink.add(name, factor_dtype(*m.format), {m.rows, m.cols}, m.codes.bytes());
  if (!m.plain()) sink.add(name + "_scale", "BF16", {m.rows}, m.scales.codes.bytes());
}

void check_low_rank(const numeric::LowRankScheme& scheme, const tensor::LowRank& part) {
  for (const QuantizedMatrix* factor : {&part.left, &part.right})
    AQ_CHECK(factor->format == scheme.format && factor->plain() == (scheme.format == &numeric::bf16) &&
             (factor->plain() || factor->scales.format == &numeric::bf16));
  AQ_CHECK(part.left.cols == scheme.rank && part.right.rows == scheme.rank, "rank {}", part.rank());
}

void check(const Scheme& scheme, const QuantizedMatrix& m) {
  const numeric::WeightScheme& w = scheme.weights;
  AQ_CHECK(m.format == w.format && m.scales.present() && m.scales.count() == m.blocks() && !m.scales.negated,
           "a matrix that does not follow {}", scheme.name);
  AQ_CHECK(w.double_quantized ? m.scales.table.size() == 256 : m.scales.format == w.scale_format);
  AQ_CHECK((w.double_quantized || w.has_divisor()) == (m.scales.super_format == &numeric::fp32) &&
           w.has_divisor() == m.scales.super_divides);
  AQ_CHECK((m.low_rank != nullptr) == (w.low_rank.rank > 0));
  if (m.low_rank) check_low_rank(w.low_rank, *m.low_rank);
  AQ_CHECK(m.zero_points.empty() == (w.symmetric || w.minima) && m.minima.present() == w.minima);
  if (m.input.needs_calibration() && !(m.input.static_scale > 0))
    throw base::BadUsage(
        fmt::format("{} needs a calibrated scale of the inputs, and there is none: give calibration "
                    "data, or choose a scheme with dynamic inputs",
                    scheme.name));
}

void write_zero_points(const std::string& name, const QuantizedMatrix& m, const std::vector<int64_t>& grid,
                       TensorSink& sink) {
  std::vector<uint8_t> codes(m.zero_points.size());
  for (size_t i = 0; i < codes.size(); ++i)
    codes[i] = static_cast<uint8_t>(m.format->encode(static_cast<float>(m.zero_points[i])));
  const int64_t rows = grid.size() == 2 ? grid[0] : 1;
  write_rows(name, codes.data(), rows, std::ssize(codes) / rows, m.format->bits, sink);
}

Json weights_json(const numeric::WeightScheme& w) {
  Json json = {{"format", w.format->name}, {"granularity", name_of(w.granularity)}};
  if (w.group > 0) json["group"] = w.group;
  json["offset"] = w.minima ? "minimum" : w.symmetric ? "none" : "zero_point";
  json["scale"] = w.double_quantized ? "double" : w.scale_format->name;
  if (w.constant_divisor > 0) json["divisor"] = w.constant_divisor;
  if (w.low_rank.rank > 0)
    json["low_rank"] = {{"rank", w.low_rank.rank}, {"format", w.low_rank.format->name}};
  return json;
}

Json input_json(const numeric::ActivationScheme& input) {
  if (!input.format) return nullptr;
  Json json = {{"format", input.format->name},
               {"granularity", name_of(input.granularity)},
               {"dynamic", input.dynamic}};
  if (input.group > 0) json["group"] = input.group;
  json["scale"] = input.scale_format->name;
  if (input.outlier_threshold > 0) json["outliers_from"] = input.outlier_threshold;
  return json;
}

}  // namespace

bool aquatint_can_say(const Scheme& scheme) {
  const numeric::WeightScheme& w = scheme.weights;
  const bool offsets = w.symmetric || w.minima || w.format->kind == numeric::Kind::integer;
  return w.format->bits <= 8 && offsets && scale_dtype(*w.scale_format) &&
         scale_dtype(*scheme.input.scale_format) && (!w.double_quantized || w.symmetric) &&
         !factor_dtype(*w.low_rank.format).empty();
}

void aquatint_write(const WriteContext& context, const std::string& module, const QuantizedMatrix& m,
                    TensorSink& sink) {
  check(context.scheme, m);
  const std::string name = module + ".weight";
  std::vector<int64_t> grid = {m.blocks()};
  if (m.flat_block == 0) grid = {m.blocks() / m.blocks_per_row(), m.blocks_per_row()};
  const int64_t shape[2] = {m.rows, m.cols};
  write_rows(name + "_codes", m.codes.u8(), m.rows, m.cols, m.format->bits, sink);
  sink.add(name + "_shape", "I64", {2}, std::as_bytes(std::span(shape)));
  write_scales(name + "_scale", m.scales, grid, sink);
  if (!m.zero_points.empty()) write_zero_points(name + "_zero_point", m, grid, sink);
  if (m.minima.present()) write_scales(name + "_minimum", m.minima, grid, sink);
  if (m.low_rank) {
    write_factor(name + "_left", m.low_rank->left, sink);
    write_factor(name + "_right", m.low_rank->right, sink);
  }
  if (m.input.needs_calibration()) write_floats(module + ".input_scale", {&m.input.static_scale, 1}, sink);
}

Json aquatint_quantization_config(const Contents& contents) {
  Json groups = Json::object();
  for (size_t i = 0; i < contents.groups.size(); ++i) {
    const Scheme& scheme = contents.groups[i].scheme;
    groups[fmt::format("group_{}", i)] = {{"targets", module_targets(contents, i)},
                                          {"weights", weights_json(scheme.weights)},
                                          {"input", input_json(scheme.input)}};
  }
  return {{"quant_method", "aquatint"},
          {"version", kAquatintVersion},
          {"ignore", contents.unquantized},
          {"config_groups", groups}};
}

}  // namespace aquatint::checkpoint
