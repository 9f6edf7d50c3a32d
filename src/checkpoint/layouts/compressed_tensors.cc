// The layout of llm-compressor and vLLM (https://github.com/vllm-project/compressed-tensors): integers packed
// in words (weight_packed), or 8-bit codes as they are (weight), with weight_scale and weight_zero_point
// beside them.
#include "checkpoint/layouts/compressed_tensors.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "checkpoint/layouts/ct_config.h"
#include "checkpoint/layouts/packing.h"

namespace aquatint::checkpoint {
using base::BadInput;
using base::Json;
using numeric::Granularity;
using tensor::QuantizedMatrix;
using tensor::Storage;
namespace {

constexpr int64_t kMaxExtent = int64_t{1} << 40;
constexpr std::array<std::string_view, 12> kCompany = {".weight_scale",
                                                       ".weight_zero_point",
                                                       ".weight_shape",
                                                       ".weight_global_scale",
                                                       ".input_scale",
                                                       ".input_zero_point",
                                                       ".input_global_scale",
                                                       ".output_scale",
                                                       ".output_zero_point",
                                                       ".k_scale",
                                                       ".v_scale",
                                                       ".q_scale"};

// The tensors of one quantized weight, checked against each other.
struct Parts {
  const CtGroup* group = nullptr;
  const TensorView* codes = nullptr;
  const TensorView* scale = nullptr;
  const TensorView* divisor = nullptr;  // of all scales, in NVFP4
  const TensorView* zero = nullptr;     // null when symmetric
  const TensorView* input = nullptr;    // calibrated scale of the input, else null
  bool packed = false, padded = false;
  int64_t rows = 0, cols = 0, block_rows = 1, block_cols = 1;

  int64_t grid_rows() const { return base::ceil_div(rows, block_rows); }
  int64_t grid_cols() const { return base::ceil_div(cols, block_cols); }
};

std::string shape_text(const TensorView& tensor) {
  return fmt::format("[{}]", fmt::join(tensor.info->shape, ", "));
}

void set_blocks(Parts& parts) {
  const CtWeights& w = parts.group->weights;
  switch (w.granularity) {
    case Granularity::tensor:
      parts.block_rows = parts.rows, parts.block_cols = parts.cols;
      break;
    case Granularity::channel:
      parts.block_cols = parts.cols;
      break;
    case Granularity::group:
      parts.block_cols = w.group;
      break;
    default:
      parts.block_rows = w.block_rows, parts.block_cols = w.block_cols;
  }
}

// With FP32 scales where the file decides. `group` of tiles that are not square is 0, which no preset has.
numeric::Scheme scheme_of(const CtGroup& group) {
  const CtWeights& w = group.weights;
  numeric::Scheme scheme;
  scheme.weights = {w.format, w.granularity, w.group, w.symmetric};
  if (w.granularity == Granularity::block && w.block_rows == w.block_cols)
    scheme.weights.group = static_cast<int>(w.block_rows);
  if (w.scale_format) scheme.weights.scale_format = w.scale_format;
  scheme.input = group.input;
  return named(scheme);
}

numeric::Scheme scheme_of(const Parts& parts) {
  numeric::Scheme scheme = scheme_of(*parts.group);
  if (!parts.group->weights.scale_format)
    scheme.weights.scale_format = plain_format(parts.scale->info->dtype);
  return scheme;
}

// One value per block: [grid rows, grid columns], or without the extents of 1.
void check_grid(const TensorView& tensor, const Parts& parts) {
  const int64_t r = parts.grid_rows(), c = parts.grid_cols();
  const std::vector<int64_t>& shape = tensor.info->shape;
  const bool fits = shape == std::vector<int64_t>{r, c} || (c == 1 && shape == std::vector<int64_t>{r}) ||
                    (r == 1 && c == 1 && shape.empty());
  if (!fits)
    throw BadInput(fmt::format("{} has shape {}, expected [{}, {}]: one value per block of a {} x {} weight",
                               tensor.where(), shape_text(tensor), r, c, parts.rows, parts.cols));
}

class CtReader final : public LayoutReader {
 public:
  CtReader(const Json& config, const SafetensorsSet& files, const std::string& where,
           std::vector<std::string>& warnings)
      : config_(config["quantization_config"], where + "/config.json", warnings),
        files_(files),
        where_(where) {}

  Role role(const TensorView& tensor) const override {
    const std::string& name = tensor.info->name;
    if (name.ends_with(".weight_g_idx"))
      throw BadInput(
          fmt::format("{}: permuted groups (actorder \"group\") are not supported", tensor.where()));
    if (std::any_of(kCompany.begin(), kCompany.end(),
                    [&](std::string_view suffix) { return name.ends_with(suffix); }))
      return {Role::company, {}};
    const bool packed = name.ends_with(".weight_packed");
    if (!packed && (!name.ends_with(".weight") || tensor.info->shape.size() != 2)) return {};
    if (!packed && plain_format(tensor.info->dtype)) return plain_role(tensor);
    const std::string module = name.substr(0, name.rfind('.'));
    const Parts parts = locate(module);
    return {Role::weight, {module, parts.rows, parts.cols, stored_bytes(parts), true, scheme_of(parts)}};
  }

  bool has_weight(std::string_view module) const override {
    return has_plain_or(files_, module, ".weight_packed");
  }

  QuantizedMatrix weight(std::string_view module) const override {
    const std::string name = std::string(module) + ".weight";
    if (const TensorView* plain = files_.find(name); plain && plain_format(plain->info->dtype))
      return read_plain(*plain);
    return read(locate(module));
  }

  std::string scheme() const override;

 private:
  const TensorView& require(const std::string& name) const { return require_tensor(files_, name, where_); }

  Parts locate(std::string_view module) const;
  void measure_packed(const std::string& name, Parts& parts) const;
  void measure_bytes(Parts& parts) const;
  void find_scales(const std::string& module, Parts& parts) const;
  void find_input_scale(const std::string& module, Parts& parts) const;
  void measure_plain(Parts& parts) const;
  void check_zero_points(Parts& parts) const;

  static uint64_t stored_bytes(const Parts& parts) {
    return parts.codes->bytes.size() + parts.scale->bytes.size() +
           (parts.zero ? parts.zero->bytes.size() : 0) + (parts.divisor ? parts.divisor->bytes.size() : 0);
  }
  static QuantizedMatrix read(const Parts& parts);
  static void read_codes(const Parts& parts, QuantizedMatrix& m);
  static std::vector<int16_t> read_zero_points(const Parts& parts);

  CtConfig config_;
  const SafetensorsSet& files_;
  std::string where_;
};

Parts CtReader::locate(std::string_view module) const {
  const std::string name = std::string(module) + ".weight";
  Parts parts;
  parts.codes = files_.find(name + "_packed");
  parts.packed = parts.codes != nullptr;
  if (!parts.packed) parts.codes = &require(name);
  parts.group = config_.group_of(module);
  if (!parts.group)
    throw BadInput(fmt::format("{} is {}, but no config group of quantization_config targets '{}'",
                               parts.codes->where(), parts.codes->info->dtype, module));
  if (!parts.packed)
    measure_plain(parts);
  else
    parts.group->weights.floating() ? measure_bytes(parts) : measure_packed(name, parts);
  set_blocks(parts);
  find_scales(name, parts);
  if (!parts.group->weights.symmetric) {
    parts.zero = &require(name + "_zero_point");
    check_zero_points(parts);
  }
  if (parts.group->input.needs_calibration()) find_input_scale(std::string(module), parts);
  return parts;
}

void CtReader::find_scales(const std::string& name, Parts& parts) const {
  parts.scale = &require(name + "_scale");
  const std::string& dtype = parts.scale->info->dtype;
  const numeric::Format* fixed = parts.group->weights.scale_format;
  const bool known =
      !fixed ? plain_format(dtype) != nullptr : dtype == (fixed == &numeric::e8m0 ? "U8" : "F8_E4M3");
  if (!known)
    throw BadInput(fmt::format("{} is {}, expected {}", parts.scale->where(), dtype,
                               !fixed                    ? "F32, F16 or BF16"
                               : fixed == &numeric::e8m0 ? "U8"
                                                         : "F8_E4M3"));
  check_grid(*parts.scale, parts);
  if (fixed != &numeric::fp8_e4m3) return;
  parts.divisor = &require(name + "_global_scale");
  if (parts.divisor->info->elements() != 1 || parts.divisor->info->dtype != "F32")
    throw BadInput(fmt::format("{} is {} of {}, expected one F32 value", parts.divisor->where(),
                               parts.divisor->info->dtype, shape_text(*parts.divisor)));
}

void CtReader::find_input_scale(const std::string& module, Parts& parts) const {
  const bool per_tensor = parts.group->input.granularity == Granularity::tensor;
  parts.input = &require(module + (per_tensor ? ".input_scale" : ".input_global_scale"));
  if (parts.input->info->elements() != 1 || !plain_format(parts.input->info->dtype))
    throw BadInput(fmt::format("{} is {} of {}, expected one F32 value", parts.input->where(),
                               parts.input->info->dtype, shape_text(*parts.input)));
}

// Codes of FP4 and FP6: a stream of bits in bytes, whose rows are whole bytes.
void CtReader::measure_bytes(Parts& parts) const {
  const StoredTensor& info = *parts.codes->info;
  const int bits = parts.group->weights.format->bits;
  const bool fits = info.dtype == "U8" && info.shape.size() == 2 && info.shape[0] > 0 && info.shape[1] > 0 &&
                    info.shape[1] <= kMaxExtent && info.shape[1] * 8 % bits == 0;
  if (!fits)
    throw BadInput(fmt::format("{} is {} of {}, expected a matrix of U8 that holds codes of {} bits",
                               parts.codes->where(), info.dtype, shape_text(*parts.codes), bits));
  parts.rows = info.shape[0];
  parts.cols = info.shape[1] * 8 / bits;
}

void CtReader::measure_packed(const std::string& name, Parts& parts) const {
  const TensorView& shape = require(name + "_shape");
  const int bits = parts.group->weights.format->bits;
  if (shape.info->dtype != "I64" || shape.info->elements() != 2)
    throw BadInput(fmt::format("{} is {} of {}, expected two I64 values", shape.where(), shape.info->dtype,
                               shape_text(shape)));
  parts.rows = base::load<int64_t>(shape.bytes.data());
  parts.cols = base::load<int64_t>(shape.bytes.data() + 8);
  if (parts.rows < 1 || parts.cols < 1 || parts.rows > kMaxExtent || parts.cols > kMaxExtent)
    throw BadInput(
        fmt::format("{} says {} x {}, expected positive extents", shape.where(), parts.rows, parts.cols));
  const bool dense = parts.codes->info->shape == std::vector{parts.rows, packed_words(parts.cols, bits)};
  const bool padded =
      parts.codes->info->shape == std::vector{parts.rows, checkpoint::padded_words(parts.cols, bits)};
  if (parts.codes->info->dtype != "I32" || (!dense && !padded))
    throw BadInput(fmt::format("{} is {} of {}, expected I32 of [{}, {}] for {} x {} codes of {} bits",
                               parts.codes->where(), parts.codes->info->dtype, shape_text(*parts.codes),
                               parts.rows, packed_words(parts.cols, bits), parts.rows, parts.cols, bits));
  parts.padded = padded && (!dense || config_.padded_words());
}

void CtReader::measure_plain(Parts& parts) const {
  const StoredTensor& info = *parts.codes->info;
  const char* expected = parts.group->weights.floating() ? "F8_E4M3" : "I8";
  if (info.dtype != expected || info.shape.size() != 2)
    throw BadInput(fmt::format("{} is {} of {}, expected a matrix of {} by its config group",
                               parts.codes->where(), info.dtype, shape_text(*parts.codes), expected));
  parts.rows = info.shape[0];
  parts.cols = info.shape[1];
  if (parts.rows < 1 || parts.cols < 1) throw BadInput(fmt::format("{} is empty", parts.codes->where()));
}

void CtReader::check_zero_points(Parts& parts) const {
  const StoredTensor& info = *parts.zero->info;
  const int64_t words = packed_words(parts.grid_rows(), parts.group->weights.format->bits);
  if (info.dtype == "I32" && parts.packed) {
    if (info.shape != std::vector{words, parts.grid_cols()})
      throw BadInput(fmt::format("{} has shape {}, expected [{}, {}]", parts.zero->where(),
                                 shape_text(*parts.zero), words, parts.grid_cols()));
    return;
  }
  if (info.dtype != "I8")
    throw BadInput(
        fmt::format("{} is {}, expected {}", parts.zero->where(), info.dtype, parts.packed ? "I32" : "I8"));
  check_grid(*parts.zero, parts);
}

QuantizedMatrix CtReader::read(const Parts& parts) {
  QuantizedMatrix m;
  m.format = parts.group->weights.format;
  m.rows = parts.rows;
  m.cols = parts.cols;
  m.block_rows = parts.block_rows;
  m.block_cols = parts.block_cols;
  read_codes(parts, m);
  const numeric::Format* fixed = parts.group->weights.scale_format;
  m.scales.format = fixed ? fixed : plain_format(parts.scale->info->dtype);
  m.scales.codes = Storage::borrowed(parts.scale->bytes);
  if (parts.divisor) {
    m.scales.super_format = &numeric::fp32;
    m.scales.super = Storage::borrowed(parts.divisor->bytes);
    m.scales.per_super = m.blocks();
    m.scales.super_divides = true;
  }
  if (parts.zero) m.zero_points = read_zero_points(parts);
  m.input = parts.group->input;
  if (parts.input) {
    const numeric::Format& format = *plain_format(parts.input->info->dtype);
    m.input.static_scale =
        format.decode(format.bytes() == 2 ? base::load<uint16_t>(parts.input->bytes.data())
                                          : base::load<uint32_t>(parts.input->bytes.data()));
  }
  m.stored_bytes = stored_bytes(parts);
  return m;
}

void CtReader::read_codes(const Parts& parts, QuantizedMatrix& m) {
  const int bits = parts.group->weights.format->bits;
  const auto* bytes = reinterpret_cast<const uint8_t*>(parts.codes->bytes.data());
  const int64_t cols = parts.cols;
  if (parts.packed && parts.group->weights.floating()) {
    const int64_t row_bytes = parts.codes->info->shape[1];
    m.deferred = [=](int64_t begin, int64_t end, uint8_t* to) {
      for (int64_t r = begin; r < end; ++r, to += cols) unpack_bytes(bytes + r * row_bytes, cols, bits, to);
    };
  } else if (parts.packed) {
    const int64_t row_bytes = 4 * parts.codes->info->shape[1];
    const auto unpack = parts.padded ? unpack_padded_run : unpack_dense_run;
    m.deferred = [=](int64_t begin, int64_t end, uint8_t* to) {
      for (int64_t r = begin; r < end; ++r, to += cols) unpack(bytes + r * row_bytes, cols, bits, to);
    };
  } else if (bits == 8) {
    m.codes = Storage::borrowed(parts.codes->bytes);
  } else {
    m.deferred = [=, mask = static_cast<uint8_t>((1 << bits) - 1)](int64_t begin, int64_t end, uint8_t* to) {
      for (int64_t i = begin * cols; i < end * cols; ++i) *to++ = bytes[i] & mask;
    };
  }
}

std::vector<int16_t> CtReader::read_zero_points(const Parts& parts) {
  const int64_t rows = parts.grid_rows(), cols = parts.grid_cols();
  const int bits = parts.group->weights.format->bits;
  const auto* from = reinterpret_cast<const uint8_t*>(parts.zero->bytes.data());
  std::vector<uint8_t> codes(static_cast<size_t>(rows * cols));
  if (parts.zero->info->dtype == "I8")
    std::memcpy(codes.data(), from, codes.size());
  else
    for (int64_t c = 0; c < cols; ++c) unpack_run(from + 4 * c, cols, rows, bits, codes.data() + c, cols);
  std::vector<int16_t> zeros(codes.size());
  for (size_t i = 0; i < zeros.size(); ++i)  // the sign is the highest of `bits` bits
    zeros[i] = static_cast<int16_t>(static_cast<int8_t>(codes[i] << (8 - bits)) >> (8 - bits));
  return zeros;
}

// The preset that a group follows, whatever its group size.
std::string name_of(const CtGroup& group) {
  const numeric::Scheme scheme = scheme_of(group);
  if (numeric::find_scheme(scheme.name)) return std::string(scheme.name);
  return fmt::format("{} weights, {} inputs", scheme.name,
                     group.input.format ? group.input.format->name : "16-bit");
}

std::string CtReader::scheme() const {
  std::string name;
  for (const CtGroup& group : config_.groups()) {
    if (group.format == "dense") continue;
    const std::string own = name_of(group);
    if (!name.empty() && own != name) return "mixed";
    name = own;
  }
  return name;
}

bool matches(const Json& quantization) { return has_quant_method(quantization, "compressed-tensors"); }

std::unique_ptr<LayoutReader> read_layout(const Json& config, const SafetensorsSet& files,
                                          const std::string& where, std::vector<std::string>& warnings) {
  return std::make_unique<CtReader>(config, files, where, warnings);
}

}  // namespace

const Layout compressed_tensors = {
    .name = "compressed-tensors",
    .matches = matches,
    .read = read_layout,
    .can_say = ct_can_say,
    .write = ct_write,
    .quantization_config = ct_quantization_config,
    .mixes_schemes = true,
    .tensors_per_weight = 4,
};

}  // namespace aquatint::checkpoint
