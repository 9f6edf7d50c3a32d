#include "checkpoint/layouts/columns.h"

#include <algorithm>

#include "base/error.h"

namespace aquatint::checkpoint {
using base::BadInput;
using numeric::Granularity;
using tensor::QuantizedMatrix;
using tensor::Storage;
namespace {

// [rows][cols] → [cols][rows] of elements of `bytes`.
Storage transposed(const uint8_t* from, int64_t rows, int64_t cols, int64_t bytes) {
  Storage out = Storage::owned(static_cast<size_t>(rows * cols * bytes));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c)
      std::memcpy(out.mutable_u8() + (c * rows + r) * bytes, from + (r * cols + c) * bytes,
                  static_cast<size_t>(bytes));
  return out;
}

const numeric::Format* signed_format(int bits) { return numeric::find_format(fmt::format("int{}", bits)); }

constexpr std::string_view kCodes = ".qweight";

}  // namespace

Role ColumnsReader::role(const TensorView& tensor) const {
  const std::string& name = tensor.info->name;
  if (name.ends_with(kCodes)) {
    const std::string module = name.substr(0, name.size() - kCodes.size());
    const Columns parts = locate(module);
    return {Role::weight,
            {module, parts.rows, parts.cols, parts.stored_bytes(), true, column_scheme(parts, symmetric_)}};
  }
  if (name.ends_with(".qzeros") || name.ends_with(".scales")) return {Role::company, {}};
  return plain_role(tensor);
}

bool ColumnsReader::has_weight(std::string_view module) const { return has_plain_or(files_, module, kCodes); }

QuantizedMatrix ColumnsReader::weight(std::string_view module) const {
  if (const TensorView* plain = files_.find(std::string(module) + ".weight")) return read_plain(*plain);
  const Columns parts = locate(std::string(module));
  QuantizedMatrix m = column_matrix(parts, zeros_of(parts), symmetric_);
  m.deferred = codes_of(parts);
  return m;
}

std::string ColumnsReader::scheme() const {
  for (const StoredTensor& tensor : files_.tensors())
    if (tensor.name.ends_with(kCodes))
      return std::string(
          column_scheme(locate(tensor.name.substr(0, tensor.name.size() - kCodes.size())), symmetric_).name);
  return "";
}

Columns ColumnsReader::find(const std::string& module) const {
  Columns parts;
  parts.codes = &require_tensor(files_, module + ".qweight", where_);
  parts.zeros = &require_tensor(files_, module + ".qzeros", where_);
  parts.scales = &require_tensor(files_, module + ".scales", where_);
  return parts;
}

void measure(int64_t cols, int64_t group_size, Columns& parts) {
  const StoredTensor& info = *parts.scales->info;
  parts.cols = cols;
  parts.group = group_size > 0 ? group_size : cols;
  if (!plain_format(info.dtype) || info.shape.size() != 2 || info.shape[1] < 1 || cols < 1 ||
      info.shape[0] != parts.groups())
    throw BadInput(fmt::format("{} is {} of [{}], expected 16- or 32-bit scales of [{}, out_features]",
                               parts.scales->where(), info.dtype, fmt::join(info.shape, ", "),
                               cols < 1 ? 0 : parts.groups()));
  parts.rows = info.shape[1];
}

void expect_words(const TensorView& tensor, int64_t rows, int64_t cols) {
  if (tensor.info->dtype != "I32" || tensor.info->shape != std::vector<int64_t>{rows, cols})
    throw BadInput(fmt::format("{} is {} of [{}], expected I32 of [{}, {}]", tensor.where(),
                               tensor.info->dtype, fmt::join(tensor.info->shape, ", "), rows, cols));
}

QuantizedMatrix column_matrix(const Columns& parts, const std::vector<uint8_t>& zeros, bool symmetric) {
  QuantizedMatrix m;
  m.format = signed_format(parts.bits);
  m.rows = parts.rows;
  m.cols = parts.cols;
  m.block_cols = parts.group;
  m.scales.format = plain_format(parts.scales->info->dtype);
  m.scales.codes = transposed(reinterpret_cast<const uint8_t*>(parts.scales->bytes.data()), parts.groups(),
                              parts.rows, m.scales.format->bytes());
  m.stored_bytes = parts.stored_bytes();
  const int middle = 1 << (parts.bits - 1);
  if (symmetric && std::any_of(zeros.begin(), zeros.end(), [&](uint8_t z) { return z != middle; }))
    throw BadInput(fmt::format("{}: the weights are said to be symmetric, but a zero-point is not {}",
                               parts.zeros->where(), middle));
  if (symmetric) return m;
  for (int64_t r = 0; r < parts.rows; ++r)
    for (int64_t g = 0; g < parts.groups(); ++g)
      m.zero_points.push_back(static_cast<int16_t>(zeros[static_cast<size_t>(g * parts.rows + r)] - middle));
  return m;
}

numeric::Scheme column_scheme(const Columns& parts, bool symmetric) {
  numeric::Scheme scheme;
  const bool whole = parts.group == parts.cols;
  scheme.weights = {signed_format(parts.bits), whole ? Granularity::channel : Granularity::group,
                    whole ? 0 : static_cast<int>(parts.group), symmetric,
                    plain_format(parts.scales->info->dtype)};
  return named(scheme);
}

bool is_weight_only_integer(const numeric::Scheme& scheme) {
  const numeric::WeightScheme& w = scheme.weights;
  return w.rows_stand_alone() && w.format->kind == numeric::Kind::integer &&
         w.format->decode(w.format->encode(-1)) < 0 && w.scale_format->bits >= 16 && !w.minima &&
         !w.double_quantized && !scheme.input.format;
}

std::vector<uint8_t> zeros_by_group(const QuantizedMatrix& m) {
  const int middle = 1 << (m.format->bits - 1);
  const int64_t groups = m.blocks_per_row();
  std::vector<uint8_t> zeros(static_cast<size_t>(m.blocks()), static_cast<uint8_t>(middle));
  for (int64_t i = 0; i < std::ssize(m.zero_points); ++i)
    zeros[static_cast<size_t>(i % groups * m.rows + i / groups)] =
        static_cast<uint8_t>(m.zero_points[static_cast<size_t>(i)] + middle);
  return zeros;
}

void add_scales(const std::string& module, const QuantizedMatrix& m, TensorSink& sink) {
  const numeric::Format& format = *m.scales.format;
  const Storage scales = transposed(m.scales.codes.u8(), m.rows, m.blocks_per_row(), format.bytes());
  const char* dtype = &format == &numeric::fp32 ? "F32" : &format == &numeric::fp16 ? "F16" : "BF16";
  sink.add(module + ".scales", dtype, {m.blocks_per_row(), m.rows}, scales.bytes());
}

}  // namespace aquatint::checkpoint
