// bitsandbytes' LLM.int8() weights: one int8 code each, and for each row SCB = max|w|, of which 127 parts are
// one code. What is done with outliers of the inputs is a number of the configuration.
#include "base/error.h"
#include "checkpoint/layouts/bitsandbytes.h"

namespace aquatint::checkpoint {
using base::BadInput;
using numeric::Granularity;
using tensor::QuantizedMatrix;
using tensor::Storage;
namespace {

constexpr float kCodes = 127;  // parts of SCB

numeric::Scheme scheme_with(float threshold) {
  numeric::Scheme scheme;
  scheme.weights.format = scheme.input.format = &numeric::int8;
  scheme.weights.constant_divisor = kCodes;
  scheme.input.outlier_threshold = threshold;
  return named(scheme);
}

// The tensors of one weight, checked against each other.
struct Parts {
  const TensorView *codes, *absmax;
  int64_t rows() const { return codes->info->shape[0]; }
  int64_t cols() const { return codes->info->shape[1]; }
  uint64_t stored_bytes() const { return codes->bytes.size() + absmax->bytes.size(); }
};

class Int8Reader final : public LayoutReader {
 public:
  Int8Reader(float threshold, const SafetensorsSet& files, std::string where)
      : scheme_(scheme_with(threshold)), files_(files), where_(std::move(where)) {}

  Role role(const TensorView& tensor) const override {
    const std::string& name = tensor.info->name;
    if (name.ends_with(".SCB") || name.ends_with(".weight_format")) return {Role::company, {}};
    if (!name.ends_with(".weight") || plain_format(tensor.info->dtype)) return plain_role(tensor);
    const std::string module = name.substr(0, name.rfind('.'));
    const Parts parts = locate(module);
    return {Role::weight, {module, parts.rows(), parts.cols(), parts.stored_bytes(), true, scheme_}};
  }

  bool has_weight(std::string_view module) const override {
    const TensorView* tensor = files_.find(std::string(module) + ".weight");
    return tensor && tensor->info->shape.size() == 2;
  }

  QuantizedMatrix weight(std::string_view module) const override {
    const TensorView& tensor = require_tensor(files_, std::string(module) + ".weight", where_);
    return plain_format(tensor.info->dtype) ? read_plain(tensor) : read(locate(std::string(module)));
  }

  std::string scheme() const override { return std::string(scheme_.name); }

 private:
  Parts locate(const std::string& module) const;
  QuantizedMatrix read(const Parts& parts) const;

  numeric::Scheme scheme_;
  const SafetensorsSet& files_;
  std::string where_;
};

Parts Int8Reader::locate(const std::string& module) const {
  const Parts parts = {&require_tensor(files_, module + ".weight", where_),
                       &require_tensor(files_, module + ".SCB", where_)};
  const std::vector<int64_t>& shape = parts.codes->info->shape;
  if (parts.codes->info->dtype != "I8" || shape.size() != 2 || shape[0] < 1 || shape[1] < 1)
    throw BadInput(fmt::format("{} is {} of [{}], expected I8 of two positive extents", parts.codes->where(),
                               parts.codes->info->dtype, fmt::join(shape, ", ")));
  if (parts.absmax->info->dtype != "F32" || parts.absmax->info->elements() != parts.rows())
    throw BadInput(fmt::format("{} is {} of {} elements, expected F32 of {}", parts.absmax->where(),
                               parts.absmax->info->dtype, parts.absmax->info->elements(), parts.rows()));
  const TensorView* format = files_.find(module + ".weight_format");
  if (format &&
      (format->info->dtype != "U8" || format->bytes.size() != 1 || format->bytes[0] != std::byte{0}))
    throw BadInput(
        fmt::format("{} does not say row-major codes (0); save the model with bitsandbytes 0.45 or "
                    "later, or use the 16-bit one",
                    format->where()));
  return parts;
}

QuantizedMatrix Int8Reader::read(const Parts& parts) const {
  QuantizedMatrix m;
  m.format = &numeric::int8;
  m.rows = parts.rows();
  m.cols = m.block_cols = parts.cols();
  m.codes = Storage::borrowed(parts.codes->bytes);
  m.scales.format = m.scales.super_format = &numeric::fp32;
  m.scales.codes = Storage::borrowed(parts.absmax->bytes);
  m.scales.super = Storage::copy_of(std::span<const float>(&kCodes, 1));
  m.scales.super_divides = true;
  m.scales.per_super = m.rows;
  m.input = scheme_.input;
  m.stored_bytes = parts.stored_bytes();
  return m;
}

}  // namespace

std::unique_ptr<LayoutReader> read_bnb_int8(float threshold, const SafetensorsSet& files, std::string where) {
  return std::make_unique<Int8Reader>(threshold, files, std::move(where));
}

bool bnb_int8_can_say(const numeric::Scheme& scheme) {
  return numeric::same_form(scheme, scheme_with(scheme.input.outlier_threshold));
}

void write_bnb_int8(const std::string& module, const QuantizedMatrix& m, TensorSink& sink) {
  const uint8_t row_major[] = {0};
  AQ_CHECK(m.format == &numeric::int8 && m.scales.format == &numeric::fp32 && m.scales.super_divides &&
           m.scales.count() == m.rows && base::load<float>(m.scales.super.u8()) == kCodes);
  sink.add(module + ".weight", "I8", {m.rows, m.cols}, m.codes.bytes());
  sink.add(module + ".SCB", "F32", {m.rows}, m.scales.codes.bytes());
  sink.add(module + ".weight_format", "U8", {}, std::as_bytes(std::span(row_major)));
}

}  // namespace aquatint::checkpoint
