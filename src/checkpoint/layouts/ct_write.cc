#include <algorithm>

#include "base/error.h"
#include "checkpoint/layouts/compressed_tensors.h"
#include "checkpoint/layouts/ct_targets.h"
#include "checkpoint/layouts/packing.h"

namespace aquatint::checkpoint {
using base::Json;
using numeric::Granularity;
using numeric::Scheme;
using tensor::QuantizedMatrix;
using tensor::Scales;
namespace {

constexpr const char* kPacked = "pack-quantized";
constexpr const char* kInteger = "int-quantized";
constexpr const char* kFloat = "float-quantized";
constexpr const char* kMixed = "mixed-precision";  // on top, when the groups differ

// The format that compressed-tensors itself chooses for these weights and inputs; nullptr when it has none
// that other readers load.
const char* format_of(const Scheme& scheme) {
  const numeric::WeightScheme& w = scheme.weights;
  const bool rows_or_groups = w.granularity == Granularity::channel || w.granularity == Granularity::group;
  const bool token_input = scheme.input.granularity == Granularity::token && scheme.input.dynamic;
  if (w.double_quantized || !rows_or_groups) return nullptr;
  if (!scheme.input.format)
    return w.format == &numeric::int4 || w.format == &numeric::int8 ? kPacked : nullptr;
  if (w.granularity != Granularity::channel || !w.symmetric || !token_input) return nullptr;
  if (w.format == &numeric::int8 && scheme.input.format == &numeric::int8) return kInteger;
  if (w.format == &numeric::fp8_e4m3 && scheme.input.format == &numeric::fp8_e4m3) return kFloat;
  return nullptr;
}

std::string_view dtype_name(const numeric::Format& format) {
  return &format == &numeric::fp32 ? "F32" : &format == &numeric::fp16 ? "F16" : "BF16";
}

Json args(const numeric::Format& format, bool symmetric, const char* strategy, bool dynamic) {
  return {{"num_bits", format.bits},
          {"type", format.kind == numeric::Kind::integer ? "int" : "float"},
          {"symmetric", symmetric},
          {"strategy", strategy},
          {"dynamic", dynamic}};
}

void write_packed_codes(const std::string& name, const QuantizedMatrix& m, TensorSink& sink) {
  const int64_t words = packed_words(m.cols, m.format->bits);
  std::vector<uint8_t> packed(static_cast<size_t>(m.rows * words * 4));
  for (int64_t r = 0; r < m.rows; ++r)
    pack_run(m.codes.u8() + r * m.cols, m.cols, 1, m.format->bits, packed.data() + r * words * 4, 1);
  sink.add(name + "_packed", "I32", {m.rows, words}, std::as_bytes(std::span(packed)));
}

// Packed along the rows, column by column.
void write_zero_points(const std::string& name, const QuantizedMatrix& m, TensorSink& sink) {
  const int bits = m.format->bits;
  const int64_t cols = m.blocks_per_row(), words = packed_words(m.rows, bits);
  std::vector<uint8_t> codes;
  for (const int16_t zero : m.zero_points) codes.push_back(static_cast<uint8_t>(zero));
  std::vector<uint8_t> packed(static_cast<size_t>(words * cols * 4));
  for (int64_t c = 0; c < cols; ++c)
    pack_run(codes.data() + c, m.rows, cols, bits, packed.data() + 4 * c, cols);
  sink.add(name + "_zero_point", "I32", {words, cols}, std::as_bytes(std::span(packed)));
}

void check(const Scheme& scheme, const QuantizedMatrix& m) {
  const bool one_level =
      m.scales.present() && !m.scales.super_format && m.scales.table.empty() && m.scales.format->bits >= 16;
  AQ_CHECK(m.format == scheme.weights.format && one_level && !m.minima.present() && m.flat_block == 0 &&
               m.block_rows == 1,
           "a matrix that does not follow {}", scheme.name);
  AQ_CHECK(m.zero_points.empty() == scheme.weights.symmetric && m.scales.count() == m.blocks());
}

Json config_group(const Scheme& scheme, const std::vector<std::string>& targets) {
  const bool grouped = scheme.weights.granularity == Granularity::group;
  Json weights = args(*scheme.weights.format, scheme.weights.symmetric, grouped ? "group" : "channel", false);
  if (grouped) weights["group_size"] = scheme.weights.group;
  const Json input = scheme.input.format ? args(*scheme.input.format, true, "token", true) : Json(nullptr);
  return {{"targets", targets},
          {"format", format_of(scheme)},
          {"weights", weights},
          {"input_activations", input},
          {"output_activations", nullptr}};
}

}  // namespace

bool ct_can_say(const Scheme& scheme) { return format_of(scheme) != nullptr; }

void ct_write(const WriteContext& context, const std::string& module, const QuantizedMatrix& m,
              TensorSink& sink) {
  check(context.scheme, m);
  const std::string name = module + ".weight";
  if (format_of(context.scheme) == kPacked) {
    const int64_t shape[2] = {m.rows, m.cols};
    write_packed_codes(name, m, sink);
    sink.add(name + "_shape", "I64", {2}, std::as_bytes(std::span(shape)));
    if (!m.zero_points.empty()) write_zero_points(name, m, sink);
  } else {
    sink.add(name, m.format == &numeric::int8 ? "I8" : "F8_E4M3", {m.rows, m.cols}, m.codes.bytes());
  }
  sink.add(name + "_scale", dtype_name(*m.scales.format), {m.rows, m.blocks_per_row()},
           m.scales.codes.bytes());
}

Json ct_quantization_config(const Contents& contents) {
  Json groups = Json::object();
  const char* format = format_of(contents.groups.front().scheme);
  for (size_t i = 0; i < contents.groups.size(); ++i) {
    const char* own = format_of(contents.groups[i].scheme);
    if (std::string_view(own) != format) format = kMixed;
    groups[fmt::format("group_{}", i)] = config_group(contents.groups[i].scheme, ct_targets(contents, i));
  }
  return {{"quant_method", "compressed-tensors"},
          {"format", format},
          {"quantization_status", "compressed"},
          {"global_compression_ratio", nullptr},
          {"ignore", contents.unquantized},
          {"kv_cache_scheme", nullptr},
          {"config_groups", groups}};
}

}  // namespace aquatint::checkpoint
