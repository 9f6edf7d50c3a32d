// Our own layout, for what no other one says exactly; every byte of it: docs/layouts.md.
#include "checkpoint/layouts/aquatint.h"

#include <algorithm>

#include "base/error.h"
#include "checkpoint/layouts/packing.h"

namespace aquatint::checkpoint {
using base::BadInput;
using base::Json;
using numeric::Granularity;
using tensor::QuantizedMatrix;
using tensor::Scales;
using tensor::Storage;
namespace {

constexpr int64_t kMaxExtent = int64_t{1} << 40;
constexpr int64_t kTableEntries = 256, kScalesPerSuper = 256;
constexpr std::string_view kCodes = ".weight_codes";

// The tensors of one weight, checked against each other.
struct Parts {
  const numeric::Scheme* scheme = nullptr;
  const TensorView *codes = nullptr, *scale = nullptr;
  const TensorView *table = nullptr, *super = nullptr, *offset = nullptr;  // of scales on two levels
  const TensorView *zero = nullptr, *minimum = nullptr, *input = nullptr;
  const TensorView *left = nullptr, *right = nullptr;  // the low-rank part
  const TensorView *left_scale = nullptr, *right_scale = nullptr;
  QuantizedMatrix shape;  // format, extents and blocks

  uint64_t stored_bytes() const {
    uint64_t bytes = 0;
    for (const TensorView* tensor :
         {codes, scale, super, zero, minimum, left, right, left_scale, right_scale})
      bytes += tensor ? tensor->bytes.size() : 0;
    return scheme->weights.constant_divisor > 0 ? bytes - super->bytes.size() : bytes;
  }
};

void expect(const TensorView& tensor, std::string_view dtype, const std::vector<int64_t>& shape) {
  if (tensor.info->dtype != dtype || tensor.info->shape != shape)
    throw BadInput(fmt::format("{} is {} of [{}], expected {} of [{}]", tensor.where(), tensor.info->dtype,
                               fmt::join(tensor.info->shape, ", "), dtype, fmt::join(shape, ", ")));
}

void set_blocks(const numeric::WeightScheme& w, QuantizedMatrix& m) {
  m.block_cols =
      w.granularity == Granularity::group || w.granularity == Granularity::block ? w.group : m.cols;
  m.block_rows = w.granularity == Granularity::tensor  ? m.rows
                 : w.granularity == Granularity::block ? w.group
                                                       : 1;
  if (w.granularity == Granularity::flat) m.flat_block = w.group;
}

std::vector<int64_t> grid_of(const QuantizedMatrix& m) {
  if (m.flat_block > 0) return {m.blocks()};
  return {m.blocks() / m.blocks_per_row(), m.blocks_per_row()};
}

std::string_view dtype_of(const numeric::Format& scale) {
  return std::find_if(kScaleDtypes.begin(), kScaleDtypes.end(),
                      [&](const ScaleDtype& known) { return known.format == &scale; })
      ->dtype;
}

class AquatintReader final : public LayoutReader {
 public:
  AquatintReader(const Json& quantization, const SafetensorsSet& files, std::string where)
      : files_(files),
        where_(std::move(where)),
        config_(parse_aquatint_config(quantization, where_ + "/config.json: quantization_config")) {}

  Role role(const TensorView& tensor) const override {
    const std::string& name = tensor.info->name;
    if (name.ends_with(kCodes)) {
      const std::string module = name.substr(0, name.size() - kCodes.size());
      const Parts parts = locate(module);
      return {Role::weight,
              {module, parts.shape.rows, parts.shape.cols, parts.stored_bytes(), true, *parts.scheme}};
    }
    if (name.find(".weight_") != name.npos || name.ends_with(".input_scale")) return {Role::company, {}};
    return plain_role(tensor);
  }

  bool has_weight(std::string_view module) const override { return has_plain_or(files_, module, kCodes); }

  QuantizedMatrix weight(std::string_view module) const override {
    if (const TensorView* plain = files_.find(std::string(module) + ".weight")) return read_plain(*plain);
    return read(locate(std::string(module)));
  }

  std::string scheme() const override {
    std::string name;
    for (const AquatintConfig::Group& group : config_.groups) {
      if (!name.empty() && name != group.scheme.name) return "mixed";
      name = group.scheme.name;
    }
    return name;
  }

 private:
  const TensorView& require(const std::string& name) const { return require_tensor(files_, name, where_); }
  const numeric::Scheme* scheme_of(std::string_view module) const;
  Parts locate(const std::string& module) const;
  void find_codes(const std::string& name, Parts& parts) const;
  void find_scales(const std::string& name, Parts& parts) const;
  void find_low_rank(const std::string& name, Parts& parts) const;
  static QuantizedMatrix read(const Parts& parts);
  static Scales read_scales(const Parts& parts);

  const SafetensorsSet& files_;
  std::string where_;
  AquatintConfig config_;
};

const numeric::Scheme* AquatintReader::scheme_of(std::string_view module) const {
  const std::string_view class_name = is_embedding(module) ? "Embedding" : "Linear";
  if (config_.ignore.match_name(module)) return nullptr;
  for (const AquatintConfig::Group& group : config_.groups)
    if (group.targets.match_name(module) || group.targets.match_class(class_name)) return &group.scheme;
  return nullptr;
}

Parts AquatintReader::locate(const std::string& module) const {
  const std::string name = module + ".weight";
  Parts parts;
  parts.scheme = scheme_of(module);
  if (!parts.scheme)
    throw BadInput(
        fmt::format("{}: tensor '{}_codes' is there, but no config group of quantization_config targets '{}'",
                    where_, name, module));
  find_codes(name, parts);
  find_scales(name, parts);
  find_low_rank(name, parts);
  const numeric::WeightScheme& w = parts.scheme->weights;
  const std::vector<int64_t> grid = grid_of(parts.shape);
  if (w.minima) {
    parts.minimum = &require(name + "_minimum");
    expect(*parts.minimum, dtype_of(*w.scale_format), grid);
  } else if (!w.symmetric) {
    parts.zero = &require(name + "_zero_point");
    const int64_t rows = grid.size() == 2 ? grid[0] : 1;
    expect(*parts.zero, "U8", {rows, packed_byte_count(grid.back(), w.format->bits)});
  }
  if (parts.scheme->input.needs_calibration()) {
    parts.input = &require(module + ".input_scale");
    expect(*parts.input, "F32", {1});
  }
  return parts;
}

void AquatintReader::find_codes(const std::string& name, Parts& parts) const {
  const numeric::WeightScheme& w = parts.scheme->weights;
  const TensorView& shape = require(name + "_shape");
  expect(shape, "I64", {2});
  QuantizedMatrix& m = parts.shape;
  m.format = w.format;
  m.rows = base::load<int64_t>(shape.bytes.data());
  m.cols = base::load<int64_t>(shape.bytes.data() + sizeof(int64_t));
  if (m.rows < 1 || m.cols < 1 || m.rows > kMaxExtent || m.cols > kMaxExtent)
    throw BadInput(fmt::format("{} says {} x {}, expected positive extents", shape.where(), m.rows, m.cols));
  parts.codes = &require(name + "_codes");
  expect(*parts.codes, "U8", {m.rows, packed_byte_count(m.cols, w.format->bits)});
  set_blocks(w, m);  // from here on rows · cols is bounded by the file
}

void AquatintReader::find_scales(const std::string& name, Parts& parts) const {
  const numeric::WeightScheme& w = parts.scheme->weights;
  parts.scale = &require(name + "_scale");
  expect(*parts.scale, w.double_quantized ? "U8" : dtype_of(*w.scale_format), grid_of(parts.shape));
  if (w.has_divisor()) {
    parts.super = &require(name + "_scale_divisor");
    expect(*parts.super, "F32", {1});
  }
  if (!w.double_quantized) return;
  parts.table = &require(name + "_scale_table");
  parts.super = &require(name + "_scale_super");
  parts.offset = &require(name + "_scale_offset");
  expect(*parts.table, "F32", {kTableEntries});
  expect(*parts.super, "F32", {base::ceil_div(parts.shape.blocks(), kScalesPerSuper)});
  expect(*parts.offset, "F32", {1});
}

void AquatintReader::find_low_rank(const std::string& name, Parts& parts) const {
  const numeric::LowRankScheme& low_rank = parts.scheme->weights.low_rank;
  if (low_rank.rank == 0) return;
  const std::string_view dtype = factor_dtype(*low_rank.format);
  parts.left = &require(name + "_left");
  parts.right = &require(name + "_right");
  expect(*parts.left, dtype, {parts.shape.rows, low_rank.rank});
  expect(*parts.right, dtype, {low_rank.rank, parts.shape.cols});
  if (low_rank.format == &numeric::bf16) return;
  parts.left_scale = &require(name + "_left_scale");
  parts.right_scale = &require(name + "_right_scale");
  expect(*parts.left_scale, "BF16", {parts.shape.rows});
  expect(*parts.right_scale, "BF16", {low_rank.rank});
}

// `scale`, one for each row, is null where the codes are the values.
QuantizedMatrix read_factor(const numeric::Format& format, const TensorView& codes, const TensorView* scale) {
  QuantizedMatrix m;
  m.format = &format;
  m.rows = codes.info->shape[0];
  m.cols = m.block_cols = codes.info->shape[1];
  m.codes = Storage::borrowed(codes.bytes);
  m.stored_bytes = codes.bytes.size();
  if (!scale) return m;
  m.scales.format = &numeric::bf16;
  m.scales.codes = Storage::borrowed(scale->bytes);
  m.stored_bytes += scale->bytes.size();
  return m;
}

Scales AquatintReader::read_scales(const Parts& parts) {
  const numeric::WeightScheme& w = parts.scheme->weights;
  Scales scales;
  scales.format = w.double_quantized ? &numeric::uint8 : w.scale_format;
  scales.codes = Storage::borrowed(parts.scale->bytes);
  if (!parts.super) return scales;
  scales.super_format = &numeric::fp32;
  scales.super = Storage::borrowed(parts.super->bytes);
  scales.super_divides = w.has_divisor();
  scales.per_super = w.has_divisor() ? parts.shape.blocks() : kScalesPerSuper;
  if (!parts.table) return scales;
  scales.table.resize(kTableEntries);
  std::memcpy(scales.table.data(), parts.table->bytes.data(), parts.table->bytes.size());
  scales.offset = base::load<float>(parts.offset->bytes.data());
  return scales;
}

std::vector<int16_t> read_zero_points(const TensorView& tensor, const QuantizedMatrix& m) {
  const int bits = m.format->bits;
  const int64_t rows = tensor.info->shape[0], cols = m.blocks() / rows, row_bytes = tensor.info->shape[1];
  std::vector<uint8_t> codes(static_cast<size_t>(m.blocks()));
  const auto* bytes = reinterpret_cast<const uint8_t*>(tensor.bytes.data());
  for (int64_t r = 0; r < rows; ++r) unpack_bytes(bytes + r * row_bytes, cols, bits, codes.data() + r * cols);
  std::vector<int16_t> zeros;
  for (const uint8_t code : codes) zeros.push_back(static_cast<int16_t>(m.format->decode(code)));
  return zeros;
}

QuantizedMatrix AquatintReader::read(const Parts& parts) {
  QuantizedMatrix m = parts.shape;
  const auto* bytes = reinterpret_cast<const uint8_t*>(parts.codes->bytes.data());
  const int64_t row_bytes = parts.codes->info->shape[1];
  m.deferred = [bytes, row_bytes, cols = m.cols, bits = m.format->bits](int64_t begin, int64_t end,
                                                                        uint8_t* to) {
    for (int64_t r = begin; r < end; ++r, to += cols) unpack_bytes(bytes + r * row_bytes, cols, bits, to);
  };
  m.scales = read_scales(parts);
  if (parts.zero) m.zero_points = read_zero_points(*parts.zero, m);
  if (parts.minimum) {
    m.minima.format = parts.scheme->weights.scale_format;
    m.minima.codes = Storage::borrowed(parts.minimum->bytes);
  }
  if (parts.left) {
    const numeric::Format& format = *parts.scheme->weights.low_rank.format;
    m.low_rank = std::make_shared<tensor::LowRank>(
        tensor::LowRank{read_factor(format, *parts.left, parts.left_scale),
                        read_factor(format, *parts.right, parts.right_scale)});
  }
  m.input = parts.scheme->input;
  if (parts.input) m.input.static_scale = base::load<float>(parts.input->bytes.data());
  m.stored_bytes = parts.stored_bytes();
  return m;
}

bool matches(const Json& quantization) { return has_quant_method(quantization, "aquatint"); }

std::unique_ptr<LayoutReader> read_layout(const Json& config, const SafetensorsSet& files,
                                          const std::string& where, std::vector<std::string>&) {
  return std::make_unique<AquatintReader>(config["quantization_config"], files, where);
}

}  // namespace

const Layout aquatint_layout = {
    .name = "aquatint",
    .matches = matches,
    .read = read_layout,
    .can_say = aquatint_can_say,
    .write = aquatint_write,
    .quantization_config = aquatint_quantization_config,
    .mixes_schemes = true,
    .tensors_per_weight = 11,
    .says_low_rank = true,
};

}  // namespace aquatint::checkpoint
