// GPTQ as AutoGPTQ and GPTQModel store it (https://github.com/ModelCloud/GPTQModel, nn_modules/qlinear):
// codes packed along the input columns, zero-points along the output rows. Version 1 ("gptq") stores a
// zero-point less one, version 2
// ("gptq_v2") the zero-point.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "checkpoint/layouts/columns.h"
#include "checkpoint/layouts/packing.h"

namespace aquatint::checkpoint {
using base::BadInput;
using base::Json;
using tensor::QuantizedMatrix;
namespace {

constexpr int64_t kMaxWords = int64_t{1} << 40;

class GptqReader final : public ColumnsReader {
 public:
  GptqReader(const Json& quantization, const SafetensorsSet& files, std::string where)
      : ColumnsReader(files, std::move(where)) {
    const std::string config = where_ + "/config.json: quantization_config";
    bits_ = static_cast<int>(base::require_int(quantization, "bits", config, 2, 8));
    if (bits_ > 4 && bits_ != 8)
      throw BadInput(fmt::format("{}: {} bits are not read, expected 2, 3, 4 or 8", config, bits_));
    group_ = base::require_int(quantization, "group_size", config, -1, INT32_MAX);
    symmetric_ = base::bool_or(quantization, "sym", true, config);
    const std::string format = base::string_or(
        quantization, "checkpoint_format", base::string_or(quantization, "format", "gptq", config), config);
    if (format != "gptq" && format != "gptq_v2")
      throw BadInput(
          fmt::format("{}: checkpoint_format \"{}\" is not read, expected gptq or gptq_v2", config, format));
    stored_less_one_ = format == "gptq";
  }

  Role role(const TensorView& tensor) const override {
    if (tensor.info->name.ends_with(".g_idx")) return {Role::company, {}};
    return ColumnsReader::role(tensor);
  }

 private:
  Columns locate(const std::string& module) const override;
  void check_order(const std::string& module, const Columns& parts) const;
  std::vector<uint8_t> zeros_of(const Columns& parts) const override;
  std::function<void(int64_t, int64_t, uint8_t*)> codes_of(const Columns& parts) const override;

  int bits_ = 4;
  bool stored_less_one_ = true;
};

Columns GptqReader::locate(const std::string& module) const {
  Columns parts = find(module);
  parts.bits = bits_;
  const StoredTensor& info = *parts.codes->info;
  if (info.shape.size() != 2 || info.shape[0] > kMaxWords || info.shape[0] * 32 % bits_ != 0)
    throw BadInput(fmt::format("{} has shape [{}], expected words of {}-bit codes of all columns by rows",
                               parts.codes->where(), fmt::join(info.shape, ", "), bits_));
  measure(info.shape[0] * 32 / bits_, group_, parts);
  expect_words(*parts.codes, info.shape[0], parts.rows);
  expect_words(*parts.zeros, parts.groups(), packed_words(parts.rows, bits_));
  check_order(module, parts);
  return parts;
}

// Groups of neighbours only: others come from desc_act without static groups.
void GptqReader::check_order(const std::string& module, const Columns& parts) const {
  const TensorView* order = files_.find(module + ".g_idx");
  if (!order) return;
  if (order->info->dtype != "I32" || order->info->shape != std::vector<int64_t>{parts.cols})
    throw BadInput(fmt::format("{} is {} of [{}], expected I32 of [{}]", order->where(), order->info->dtype,
                               fmt::join(order->info->shape, ", "), parts.cols));
  for (int64_t k = 0; k < parts.cols; ++k)
    if (base::load<int32_t>(order->bytes.data() + 4 * k) != k / parts.group)
      throw BadInput(
          fmt::format("{}: permuted groups (desc_act) are not read; quantize with static groups, or use the "
                      "unquantized model",
                      order->where()));
}

std::vector<uint8_t> GptqReader::zeros_of(const Columns& parts) const {
  const int64_t words = parts.zeros->info->shape[1];
  const int offset = 1 << (bits_ - 1), mask = (1 << bits_) - 1;  // unpack_run takes the offset off
  std::vector<uint8_t> zeros(static_cast<size_t>(parts.groups() * parts.rows));
  const auto* from = reinterpret_cast<const uint8_t*>(parts.zeros->bytes.data());
  for (int64_t g = 0; g < parts.groups(); ++g)
    unpack_run(from + 4 * g * words, 1, parts.rows, bits_, zeros.data() + g * parts.rows, 1);
  for (uint8_t& zero : zeros)
    zero = static_cast<uint8_t>((zero + offset + (stored_less_one_ ? 1 : 0)) & mask);
  return zeros;
}

std::function<void(int64_t, int64_t, uint8_t*)> GptqReader::codes_of(const Columns& parts) const {
  const auto* words = reinterpret_cast<const uint8_t*>(parts.codes->bytes.data());
  return
      [words, rows = parts.rows, cols = parts.cols, bits = bits_](int64_t begin, int64_t end, uint8_t* to) {
        for (int64_t r = begin; r < end; ++r, to += cols) unpack_run(words + 4 * r, rows, cols, bits, to, 1);
      };
}

bool can_say(const numeric::Scheme& scheme) {
  const int bits = scheme.weights.format->bits;
  return is_weight_only_integer(scheme) && (bits <= 4 || bits == 8);
}

void write(const WriteContext& context, const std::string& module, const QuantizedMatrix& m,
           TensorSink& sink) {
  const int bits = m.format->bits;
  if (m.cols * bits % 32 != 0 || m.rows * bits % 32 != 0)
    throw base::BadUsage(
        fmt::format("layout gptq needs rows and columns whose {}-bit codes fill words of 32 bits; '{}' is "
                    "{} x {}",
                    bits, module, m.rows, m.cols));
  AQ_CHECK(m.format == context.scheme.weights.format &&
           m.zero_points.empty() == context.scheme.weights.symmetric);
  const int64_t groups = m.blocks_per_row(), code_words = packed_words(m.cols, bits),
                zero_words = packed_words(m.rows, bits);
  std::vector<uint8_t> codes(static_cast<size_t>(4 * code_words * m.rows));
  for (int64_t r = 0; r < m.rows; ++r)
    pack_run(m.codes.u8() + r * m.cols, m.cols, 1, bits, codes.data() + 4 * r, m.rows);
  // pack_run adds the offset that zeros already have; version 1 stores one less.
  const int taken = (1 << (bits - 1)) + (context.scheme.weights.symmetric ? 1 : 0);
  std::vector<uint8_t> zeros = zeros_by_group(m), packed(static_cast<size_t>(4 * zero_words * groups));
  for (uint8_t& zero : zeros) zero = static_cast<uint8_t>(zero - taken);
  for (int64_t g = 0; g < groups; ++g)
    pack_run(zeros.data() + g * m.rows, m.rows, 1, bits, packed.data() + 4 * g * zero_words, 1);
  std::vector<int32_t> order(static_cast<size_t>(m.cols));
  for (int64_t k = 0; k < m.cols; ++k) order[static_cast<size_t>(k)] = static_cast<int32_t>(k / m.block_cols);
  sink.add(module + ".qweight", "I32", {code_words, m.rows}, std::as_bytes(std::span(codes)));
  sink.add(module + ".qzeros", "I32", {groups, zero_words}, std::as_bytes(std::span(packed)));
  add_scales(module, m, sink);
  sink.add(module + ".g_idx", "I32", {m.cols}, std::as_bytes(std::span(order)));
}

// Symmetric weights as version 1, which every reader knows; zero-points as version 2: some readers of version
// 1 cannot take 0.
Json quantization_config(const Contents& contents) {
  const numeric::WeightScheme& w = contents.groups.front().scheme.weights;
  const char* format = w.symmetric ? "gptq" : "gptq_v2";
  Json skipped = Json::object();
  for (const std::string& module : contents.unquantized)
    if (module != "lm_head") skipped["-:^" + module + "$"] = Json::object();
  return {{"quant_method", "gptq"},
          {"bits", w.format->bits},
          {"group_size", w.granularity == numeric::Granularity::group ? w.group : -1},
          {"desc_act", false},
          {"sym", w.symmetric},
          {"lm_head", false},
          {"true_sequential", true},
          {"static_groups", false},
          {"checkpoint_format", format},
          {"format", format},
          {"pack_dtype", "int32"},
          {"dynamic", skipped}};
}

bool matches(const Json& quantization) { return has_quant_method(quantization, "gptq"); }

std::unique_ptr<LayoutReader> read_layout(const Json& config, const SafetensorsSet& files,
                                          const std::string& where, std::vector<std::string>&) {
  return std::make_unique<GptqReader>(config["quantization_config"], files, where);
}

}  // namespace

const Layout gptq = {
    .name = "gptq",
    .matches = matches,
    .read = read_layout,
    .can_say = can_say,
    .write = write,
    .quantization_config = quantization_config,
    .mixes_schemes = false,
    .tensors_per_weight = 4,
};

}  // namespace aquatint::checkpoint
