// bitsandbytes' 4-bit weights (https://github.com/bitsandbytes-foundation/bitsandbytes, functional.py,
// QuantState): two codes per byte, first in the high nibble, blocks of the flattened matrix, a JSON text as a
// tensor beside them.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "checkpoint/layouts/bitsandbytes.h"

namespace aquatint::checkpoint {
using base::BadInput;
using base::Json;
using numeric::Granularity;
using tensor::QuantizedMatrix;
using tensor::Storage;
namespace {

constexpr int64_t kMaxExtent = int64_t{1} << 40;
constexpr int64_t kMinBlock = 32, kMaxBlock = 4096;
constexpr int64_t kMapEntries = 256;
constexpr uint64_t kMaxState = 1 << 16;  // bytes of the JSON text
// What it is filled up to with spaces, so that a weight's bytes depend on its shape alone and dry runs
// predict them.
constexpr uint64_t kStateBytes = 256;

struct QuantType {
  std::string_view name;  // in the JSON
  const numeric::Format* format;
};
const std::array kTypes = {QuantType{"nf4", &numeric::nf4}, QuantType{"fp4", &numeric::bnb_fp4}};

std::string state_name(const std::string& weight, std::string_view type) {
  return fmt::format("{}.quant_state.bitsandbytes__{}", weight, type);
}

// The tensors of one weight, checked against each other.
struct Parts {
  const QuantType* type = nullptr;
  const TensorView* codes = nullptr;
  const TensorView* absmax = nullptr;
  const TensorView* nested_absmax = nullptr;  // with double quantization, else null
  const TensorView* nested_map = nullptr;
  int64_t rows = 0, cols = 0, block = 0, nested_block = 0;
  float nested_offset = 0;

  int64_t blocks() const { return base::ceil_div(rows * cols, block); }
  uint64_t stored_bytes() const {
    return codes->bytes.size() + absmax->bytes.size() + (nested_absmax ? nested_absmax->bytes.size() : 0);
  }
};

void check_list(const TensorView& tensor, std::string_view dtype, int64_t count) {
  if (tensor.info->dtype != dtype || tensor.info->elements() != count)
    throw BadInput(fmt::format("{} is {} of {} elements, expected {} of {}", tensor.where(),
                               tensor.info->dtype, tensor.info->elements(), dtype, count));
}

// Readers use their own table, so a file with another one would be read differently everywhere.
void check_quant_map(const TensorView& map, const numeric::Format& format) {
  check_list(map, "F32", 16);
  for (size_t i = 0; i < 16; ++i)
    if (!(std::fabs(base::load<float>(map.bytes.data() + 4 * i) - format.table()[i]) < 1e-6f))
      throw BadInput(fmt::format("{} is not the table of {}", map.where(), format.name));
}

numeric::Scheme scheme_of(const Parts& parts) {
  numeric::Scheme scheme;
  scheme.weights = {parts.type->format, Granularity::flat, static_cast<int>(parts.block)};
  scheme.weights.double_quantized = parts.nested_absmax != nullptr;
  return named(scheme);
}

class BnbReader final : public LayoutReader {
 public:
  BnbReader(const Json& quantization, const SafetensorsSet& files, std::string where)
      : files_(files), where_(std::move(where)) {
    const std::string config = where_ + "/config.json";
    type_ = base::string_or(quantization, "bnb_4bit_quant_type", "fp4", config);
    nested_ = base::bool_or(quantization, "bnb_4bit_use_double_quant", false, config);
  }

  Role role(const TensorView& tensor) const override {
    const std::string& name = tensor.info->name;
    if (name.find(".weight.") != std::string::npos) return {Role::company, {}};
    if (!name.ends_with(".weight") || plain_format(tensor.info->dtype)) return plain_role(tensor);
    const Parts parts = locate(name);
    return {Role::weight,
            {name.substr(0, name.rfind('.')), parts.rows, parts.cols, parts.stored_bytes(), true,
             scheme_of(parts)}};
  }

  bool has_weight(std::string_view module) const override {
    const TensorView* tensor = files_.find(std::string(module) + ".weight");
    return tensor && tensor->info->shape.size() == 2;
  }

  QuantizedMatrix weight(std::string_view module) const override {
    const std::string name = std::string(module) + ".weight";
    const TensorView& tensor = require_tensor(files_, name, where_);
    return plain_format(tensor.info->dtype) ? read_plain(tensor) : read(locate(name));
  }

  std::string scheme() const override {
    for (const numeric::Scheme& preset : numeric::schemes())
      for (const QuantType& type : kTypes)
        if (type.name == type_ && preset.weights.format == type.format &&
            preset.weights.granularity == Granularity::flat)
          return std::string(preset.name) +
                 (nested_ == preset.weights.double_quantized ? "" : ", FP32 scales");
    return type_;
  }

 private:
  Parts locate(const std::string& name) const;
  static QuantizedMatrix read(const Parts& parts);
  Json read_state(const std::string& name, Parts& parts) const;
  void read_nested(const std::string& name, const Json& state, Parts& parts) const;

  const SafetensorsSet& files_;
  std::string where_, type_;
  bool nested_ = false;
};

Json BnbReader::read_state(const std::string& name, Parts& parts) const {
  const TensorView* tensor = nullptr;
  for (const QuantType& type : kTypes)
    if (const TensorView* found = files_.find(state_name(name, type.name)))
      tensor = found, parts.type = &type;
  if (!tensor)
    throw BadInput(fmt::format("{} is {}, but there is no tensor '{}'", parts.codes->where(),
                               parts.codes->info->dtype, state_name(name, "nf4")));
  if (tensor->info->dtype != "U8" || tensor->bytes.size() > kMaxState)
    throw BadInput(fmt::format("{} is {} of {} bytes, expected a short text as U8", tensor->where(),
                               tensor->info->dtype, tensor->bytes.size()));
  const std::string where = tensor->where();
  const std::string_view text(reinterpret_cast<const char*>(tensor->bytes.data()), tensor->bytes.size());
  Json state = base::parse_json(text, where, 8);
  if (const std::string type = base::require_string(state, "quant_type", where); type != parts.type->name)
    throw BadInput(fmt::format("{}: quant_type is \"{}\", expected \"{}\"", where, type, parts.type->name));
  parts.block = base::require_int(state, "blocksize", where, kMinBlock, kMaxBlock);
  const Json shape = state.value("shape", Json(nullptr));
  const bool two =
      shape.is_array() && shape.size() == 2 && shape[0].is_number_unsigned() && shape[1].is_number_unsigned();
  parts.rows = two ? shape[0].get<int64_t>() : 0;
  parts.cols = two ? shape[1].get<int64_t>() : 0;
  if (parts.rows < 1 || parts.cols < 1 || parts.rows > kMaxExtent || parts.cols > kMaxExtent)
    throw BadInput(fmt::format("{}: shape is {}, expected two positive extents", where, shape.dump()));
  return state;
}

Parts BnbReader::locate(const std::string& name) const {
  Parts parts;
  parts.codes = &require_tensor(files_, name, where_);
  const Json state = read_state(name, parts);
  const auto elements =
      base::checked_mul(static_cast<uint64_t>(parts.rows), static_cast<uint64_t>(parts.cols));
  if (parts.codes->info->dtype != "U8" || !elements ||
      parts.codes->bytes.size() != *elements / 2 + *elements % 2)
    throw BadInput(fmt::format("{} is {} of {} bytes, expected U8 of two codes a byte for {} x {}",
                               parts.codes->where(), parts.codes->info->dtype, parts.codes->bytes.size(),
                               parts.rows, parts.cols));
  check_quant_map(require_tensor(files_, name + ".quant_map", where_), *parts.type->format);
  parts.absmax = &require_tensor(files_, name + ".absmax", where_);
  const bool nested = parts.absmax->info->dtype == "U8";
  check_list(*parts.absmax, nested ? "U8" : "F32", parts.blocks());
  if (nested) read_nested(name, state, parts);
  return parts;
}

void BnbReader::read_nested(const std::string& name, const Json& state, Parts& parts) const {
  const std::string where = state_name(name, parts.type->name);
  parts.nested_block = base::require_int(state, "nested_blocksize", where, kMinBlock, kMaxBlock);
  parts.nested_offset = static_cast<float>(base::require_number(state, "nested_offset", where));
  if (const std::string dtype = base::string_or(state, "nested_dtype", "float32", where); dtype != "float32")
    throw BadInput(fmt::format("{}: nested_dtype is \"{}\", expected float32", where, dtype));
  parts.nested_absmax = &require_tensor(files_, name + ".nested_absmax", where_);
  parts.nested_map = &require_tensor(files_, name + ".nested_quant_map", where_);
  check_list(*parts.nested_absmax, "F32", base::ceil_div(parts.blocks(), parts.nested_block));
  check_list(*parts.nested_map, "F32", kMapEntries);
}

QuantizedMatrix BnbReader::read(const Parts& parts) {
  QuantizedMatrix m;
  m.format = parts.type->format;
  m.rows = parts.rows;
  m.cols = parts.cols;
  m.flat_block = parts.block;
  m.stored_bytes = parts.stored_bytes();
  const auto* packed = reinterpret_cast<const uint8_t*>(parts.codes->bytes.data());
  m.deferred = [packed, cols = parts.cols](int64_t begin, int64_t end, uint8_t* codes) {
    for (int64_t i = begin * cols; i < end * cols; ++i)
      *codes++ = i % 2 == 0 ? packed[i / 2] >> 4 : packed[i / 2] & 15;
  };
  m.scales.codes = Storage::borrowed(parts.absmax->bytes);
  m.scales.format = parts.nested_absmax ? &numeric::uint8 : &numeric::fp32;
  if (!parts.nested_absmax) return m;
  m.scales.table.resize(kMapEntries);
  std::memcpy(m.scales.table.data(), parts.nested_map->bytes.data(), kMapEntries * 4);
  m.scales.super_format = &numeric::fp32;
  m.scales.super = Storage::borrowed(parts.nested_absmax->bytes);
  m.scales.per_super = parts.nested_block;
  m.scales.offset = parts.nested_offset;
  return m;
}

const QuantType* type_of(const numeric::Format* format) {
  const auto* found =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const QuantType& t) { return t.format == format; });
  return found == kTypes.end() ? nullptr : found;
}

bool can_say(const numeric::Scheme& scheme) {
  if (bnb_int8_can_say(scheme)) return true;
  return type_of(scheme.weights.format) && scheme.weights.granularity == Granularity::flat &&
         scheme.weights.group >= kMinBlock && scheme.weights.symmetric && !scheme.input.format;
}

const char* torch_name(const numeric::Format& dtype) {
  return &dtype == &numeric::fp32 ? "float32" : &dtype == &numeric::fp16 ? "float16" : "bfloat16";
}

base::Bytes as_bytes(std::span<const float> values) { return std::as_bytes(values); }

void write_codes(const std::string& name, const QuantizedMatrix& m, TensorSink& sink) {
  const int64_t n = m.rows * m.cols;
  std::vector<uint8_t> packed(static_cast<size_t>((n + 1) / 2));
  for (int64_t i = 0; i < n; ++i)
    packed[static_cast<size_t>(i / 2)] |=
        static_cast<uint8_t>((m.codes.u8()[i] & 15) << (i % 2 == 0 ? 4 : 0));
  sink.add(name, "U8", {std::ssize(packed), 1}, std::as_bytes(std::span(packed)));
}

void write(const WriteContext& context, const std::string& module, const QuantizedMatrix& m,
           TensorSink& sink) {
  if (m.format == &numeric::int8) return write_bnb_int8(module, m, sink);
  const std::string name = module + ".weight";
  const QuantType* type = type_of(m.format);
  const bool nested = m.scales.super_format != nullptr;
  AQ_CHECK(type && m.flat_block >= kMinBlock && m.zero_points.empty() && !m.minima.present() &&
           m.scales.count() == m.blocks());
  AQ_CHECK(nested ? m.scales.table.size() == kMapEntries && m.scales.super_format == &numeric::fp32
                  : m.scales.format == &numeric::fp32);
  Json state = {{"quant_type", type->name},
                {"blocksize", m.flat_block},
                {"dtype", torch_name(context.dtype)},
                {"shape", {m.rows, m.cols}}};
  write_codes(name, m, sink);
  sink.add(name + ".absmax", nested ? "U8" : "F32", {m.scales.count()}, m.scales.codes.bytes());
  sink.add(name + ".quant_map", "F32", {16}, as_bytes(m.format->table()));
  if (nested) {
    state["nested_blocksize"] = m.scales.per_super;
    state["nested_dtype"] = "float32";
    state["nested_offset"] = static_cast<double>(m.scales.offset);
    sink.add(name + ".nested_absmax", "F32", {static_cast<int64_t>(m.scales.super.size() / 4)},
             m.scales.super.bytes());
    sink.add(name + ".nested_quant_map", "F32", {kMapEntries}, as_bytes(m.scales.table));
  }
  std::string text = state.dump();
  if (text.size() < kStateBytes) text.resize(kStateBytes, ' ');
  sink.add(state_name(name, type->name), "U8", {std::ssize(text)}, std::as_bytes(std::span(text)));
}

Json quantization_config(const Contents& contents) {
  const numeric::Scheme& scheme = contents.groups.front().scheme;
  const numeric::WeightScheme& w = scheme.weights;
  const QuantType* type = type_of(w.format);  // null: 8 bits
  return {{"quant_method", "bitsandbytes"},
          {"load_in_4bit", type != nullptr},
          {"load_in_8bit", type == nullptr},
          {"_load_in_4bit", type != nullptr},
          {"_load_in_8bit", type == nullptr},
          {"bnb_4bit_quant_type", (type ? type : &kTypes[1])->name},
          {"bnb_4bit_use_double_quant", w.double_quantized},
          {"bnb_4bit_compute_dtype", torch_name(contents.dtype)},
          {"bnb_4bit_quant_storage", "uint8"},
          {"llm_int8_threshold", type ? 6.0 : double{scheme.input.outlier_threshold}},
          {"llm_int8_skip_modules", contents.unquantized},
          {"llm_int8_enable_fp32_cpu_offload", false},
          {"llm_int8_has_fp16_weight", false}};
}

bool matches(const Json& quantization) {
  if (!quantization.is_object()) return false;
  if (quantization.contains("quant_method")) return quantization["quant_method"] == "bitsandbytes";
  return quantization.contains("load_in_4bit") ||
         quantization.contains("load_in_8bit");  // before transformers 4.35
}

std::unique_ptr<LayoutReader> read_layout(const Json& config, const SafetensorsSet& files,
                                          const std::string& where, std::vector<std::string>&) {
  const Json& quantization = config["quantization_config"];
  const std::string file = where + "/config.json";
  if (!base::bool_or(quantization, "load_in_8bit", false, file) &&
      !base::bool_or(quantization, "_load_in_8bit", false, file))
    return std::make_unique<BnbReader>(quantization, files, where);
  const double threshold = quantization.contains("llm_int8_threshold")
                               ? base::require_number(quantization, "llm_int8_threshold", file)
                               : 6.0;
  if (!(threshold >= 0 && threshold <= 1e30))
    throw BadInput(
        fmt::format("{}: llm_int8_threshold is {}, expected 0 or a positive number", file, threshold));
  return read_bnb_int8(static_cast<float>(threshold), files, where);
}

}  // namespace

const Layout bitsandbytes = {
    .name = "bitsandbytes",
    .matches = matches,
    .read = read_layout,
    .can_say = can_say,
    .write = write,
    .quantization_config = quantization_config,
    .mixes_schemes = false,
    .tensors_per_weight = 6,
};

}  // namespace aquatint::checkpoint
