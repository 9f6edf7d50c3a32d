#include <algorithm>

#include "base/error.h"
#include "checkpoint/kv_cache.h"
#include "checkpoint/layouts/compressed_tensors.h"
#include "checkpoint/layouts/module_targets.h"
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
constexpr const char* kNaive = "naive-quantized";
constexpr const char* kMixed = "mixed-precision";  // on top, when the groups differ

bool is(const numeric::ActivationScheme& input, const numeric::Format& format, Granularity granularity) {
  return input.format == &format && input.granularity == granularity &&
         input.dynamic == (granularity != Granularity::tensor);
}

// Inputs that compressed-tensors defines, with scales of any type in groups.
bool sayable(const numeric::ActivationScheme& input) {
  if (!input.format) return true;
  if (input.outlier_threshold > 0) return false;
  if (input.format->kind == numeric::Kind::integer)
    return is(input, *input.format, Granularity::token) && input.format->decode(input.format->encode(-1)) < 0;
  const bool floats =
      is(input, numeric::fp8_e4m3, Granularity::group) || is(input, numeric::fp4_e2m1, Granularity::group);
  return floats || is(input, numeric::fp8_e4m3, Granularity::token) ||
         is(input, numeric::fp8_e4m3, Granularity::tensor);
}

// vLLM packs integers under E4M3 inputs too (W4AFP8); 8-bit ones per channel with int8 inputs are W8A8.
const char* integer_format(const Scheme& scheme) {
  const numeric::WeightScheme& w = scheme.weights;
  if (!w.rows_stand_alone() || w.scale_format->bits < 16 || w.format->decode(w.format->encode(-1)) >= 0)
    return nullptr;
  if (scheme.input.format && !w.symmetric) return nullptr;
  const bool whole_rows = w.format == &numeric::int8 && w.granularity == Granularity::channel;
  return whole_rows && is(scheme.input, numeric::int8, Granularity::token) ? kInteger : kPacked;
}

const char* float_format(const Scheme& scheme) {
  const numeric::WeightScheme& w = scheme.weights;
  const bool mx = w.scale_format == &numeric::e8m0 && w.granularity == Granularity::group && w.group == 32;
  if (w.format == &numeric::fp4_e2m1 && mx) return "mxfp4-pack-quantized";
  if (w.format == &numeric::fp6_e2m3 && mx) return "mxfp6-pack-quantized";
  if (w.format == &numeric::fp8_e4m3 && mx) return "mxfp8-quantized";
  if (w.format == &numeric::fp4_e2m1 && w.has_divisor() && w.granularity == Granularity::group &&
      w.group == 16)
    return "nvfp4-pack-quantized";
  if (w.format != &numeric::fp8_e4m3 || w.scale_format->bits < 16) return nullptr;
  return scheme.input.format ? kFloat : kNaive;
}

// The format that compressed-tensors reads these weights and inputs in; nullptr when it has none.
const char* format_of(const Scheme& scheme) {
  const numeric::WeightScheme& w = scheme.weights;
  if (w.double_quantized || w.constant_divisor > 0 || w.minima || w.granularity == Granularity::flat ||
      !sayable(scheme.input))
    return nullptr;
  if (w.format->kind == numeric::Kind::integer) return integer_format(scheme);
  return w.format->kind == numeric::Kind::floating && w.symmetric ? float_format(scheme) : nullptr;
}

std::string_view dtype_name(const numeric::Format& format) {
  if (format.bits == 8) return &format == &numeric::e8m0 ? "U8" : "F8_E4M3";
  return &format == &numeric::fp32 ? "F32" : &format == &numeric::fp16 ? "F16" : "BF16";
}

Json number_args(const numeric::Format& format, bool symmetric) {
  return {{"num_bits", format.bits},
          {"type", format.kind == numeric::Kind::integer ? "int" : "float"},
          {"symmetric", symmetric}};
}

// A group's strategy, size and type of scales.
void say_groups(Json& args, int group, const numeric::Format& scale) {
  args["strategy"] = &scale == &numeric::fp8_e4m3 ? "tensor_group" : "group";
  args["group_size"] = group;
  if (&scale == &numeric::fp8_e4m3) args["scale_dtype"] = "torch.float8_e4m3fn";
  if (&scale == &numeric::e8m0) args["scale_dtype"] = "torch.uint8";
}

Json weight_args(const numeric::WeightScheme& w) {
  Json args = number_args(*w.format, w.symmetric);
  args["dynamic"] = false;
  switch (w.granularity) {
    case Granularity::tensor:
      args["strategy"] = "tensor";
      break;
    case Granularity::channel:
      args["strategy"] = "channel";
      break;
    case Granularity::block:
      args["strategy"] = "block";
      args["block_structure"] = {w.group, w.group};
      break;
    default:
      say_groups(args, w.group, *w.scale_format);
  }
  return args;
}

Json input_args(const numeric::ActivationScheme& input) {
  if (!input.format) return nullptr;
  Json args = number_args(*input.format, true);
  args["dynamic"] = input.dynamic;
  if (input.granularity == Granularity::group)
    say_groups(args, input.group, *input.scale_format);
  else
    args["strategy"] = input.granularity == Granularity::token ? "token" : "tensor";
  if (input.scale_format == &numeric::fp8_e4m3) args["dynamic"] = "local";
  return args;
}

void write_float_codes(const std::string& name, const QuantizedMatrix& m, TensorSink& sink) {
  const int64_t bytes = packed_byte_count(m.cols, m.format->bits);
  std::vector<uint8_t> packed(static_cast<size_t>(m.rows * bytes));
  for (int64_t r = 0; r < m.rows; ++r)
    pack_bytes(m.codes.u8() + r * m.cols, m.cols, m.format->bits, packed.data() + r * bytes);
  sink.add(name + "_packed", "U8", {m.rows, bytes}, std::as_bytes(std::span(packed)));
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
  const bool divided = scheme.weights.has_divisor();
  AQ_CHECK(m.format == scheme.weights.format && m.scales.present() && m.scales.table.empty() &&
               m.scales.format == scheme.weights.scale_format && !m.minima.present() && m.flat_block == 0,
           "a matrix that does not follow {}", scheme.name);
  AQ_CHECK(divided == (m.scales.super_format != nullptr) && divided == m.scales.super_divides &&
           (!divided || m.scales.super.size() == sizeof(float)));
  AQ_CHECK(m.zero_points.empty() == scheme.weights.symmetric && m.scales.count() == m.blocks());
  if (m.input.needs_calibration() && !(m.input.static_scale > 0))
    throw base::BadUsage(
        fmt::format("{} needs a calibrated scale of the inputs, and there is none: give calibration "
                    "data, or choose a scheme with dynamic inputs",
                    scheme.name));
}

void write_input_scale(const std::string& module, const QuantizedMatrix& m, TensorSink& sink) {
  const float scale[1] = {m.input.static_scale};
  const char* name = m.input.granularity == Granularity::tensor ? ".input_scale" : ".input_global_scale";
  sink.add(module + name, "F32", {1}, std::as_bytes(std::span(scale)));
}

Json config_group(const Scheme& scheme, const std::vector<std::string>& targets) {
  return {{"targets", targets},
          {"format", format_of(scheme)},
          {"weights", weight_args(scheme.weights)},
          {"input_activations", input_args(scheme.input)},
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
  } else if (m.format->bits == 8) {
    sink.add(name, m.format == &numeric::int8 ? "I8" : "F8_E4M3", {m.rows, m.cols}, m.codes.bytes());
  } else {
    write_float_codes(name, m, sink);
  }
  std::vector<int64_t> grid = {m.blocks() / m.blocks_per_row(), m.blocks_per_row()};
  if (context.scheme.weights.granularity == Granularity::tensor) grid = {1};
  sink.add(name + "_scale", dtype_name(*m.scales.format), grid, m.scales.codes.bytes());
  if (m.scales.super_format) sink.add(name + "_global_scale", "F32", {1}, m.scales.super.bytes());
  if (m.input.needs_calibration()) write_input_scale(module, m, sink);
}

Json ct_quantization_config(const Contents& contents) {
  Json groups = Json::object();
  const char* format = format_of(contents.groups.front().scheme);
  for (size_t i = 0; i < contents.groups.size(); ++i) {
    const char* own = format_of(contents.groups[i].scheme);
    if (std::string_view(own) != format) format = kMixed;
    groups[fmt::format("group_{}", i)] = config_group(contents.groups[i].scheme, module_targets(contents, i));
  }
  return {{"quant_method", "compressed-tensors"},
          {"format", format},
          {"quantization_status", "compressed"},
          {"global_compression_ratio", nullptr},
          {"ignore", contents.unquantized},
          {"kv_cache_scheme", ct_kv_cache(contents.kv ? &*contents.kv : nullptr)},
          {"config_groups", groups}};
}

}  // namespace aquatint::checkpoint
