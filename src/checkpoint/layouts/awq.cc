// AWQ as AutoAWQ's GEMM kernels take it (https://github.com/casper-hansen/AutoAWQ,
// awq/modules/linear/gemm.py): 4-bit codes packed along the output rows, eight a word in the order 0 2 4 6 1
// 3 5 7, zero-points alike.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "checkpoint/layouts/columns.h"

namespace aquatint::checkpoint {
using base::BadInput;
using base::Json;
using tensor::QuantizedMatrix;
namespace {

constexpr int kBits = 4, kPerWord = 8, kMiddle = 8;
constexpr std::array<int, kPerWord> kNibbleOf = {0, 4, 1, 5, 2, 6, 3, 7};  // where a word holds its i-th row

uint8_t nibble(const uint8_t* words, int64_t row) {
  const uint32_t word = base::load<uint32_t>(words + row / kPerWord * 4);
  return static_cast<uint8_t>(word >> (kBits * kNibbleOf[static_cast<size_t>(row % kPerWord)]) & 15);
}

// Codes from 0, one row of them to a row of words.
void pack_row(const uint8_t* codes, int64_t n, uint8_t* words) {
  for (int64_t begin = 0; begin < n; begin += kPerWord, words += 4) {
    uint32_t word = 0;
    for (int i = 0; i < kPerWord; ++i)
      word |= static_cast<uint32_t>(codes[begin + i]) << (kBits * kNibbleOf[static_cast<size_t>(i)]);
    base::store(words, word);
  }
}

class AwqReader final : public ColumnsReader {
 public:
  AwqReader(const Json& quantization, const SafetensorsSet& files, std::string where)
      : ColumnsReader(files, std::move(where)) {
    const std::string config = where_ + "/config.json: quantization_config";
    const char* bits = quantization.contains("bits") ? "bits" : "w_bit";
    const char* group = quantization.contains("group_size") ? "group_size" : "q_group_size";
    base::require_int(quantization, bits, config, kBits, kBits);
    group_ = base::require_int(quantization, group, config, -1, INT32_MAX);
    symmetric_ = !base::bool_or(quantization, "zero_point", true, config);
    std::string version = base::string_or(quantization, "version", "gemm", config);
    std::transform(version.begin(), version.end(), version.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    if (version != "gemm")
      throw BadInput(fmt::format("{}: version \"{}\" is not read, expected gemm", config, version));
  }

 private:
  Columns locate(const std::string& module) const override {
    Columns parts = find(module);
    const StoredTensor& info = *parts.codes->info;
    measure(info.shape.size() == 2 ? info.shape[0] : 0, group_, parts);
    if (parts.rows % kPerWord != 0)
      throw BadInput(fmt::format("{} has {} columns, expected a multiple of {}", parts.scales->where(),
                                 parts.rows, kPerWord));
    expect_words(*parts.codes, parts.cols, parts.rows / kPerWord);
    expect_words(*parts.zeros, parts.groups(), parts.rows / kPerWord);
    return parts;
  }

  std::vector<uint8_t> zeros_of(const Columns& parts) const override {
    std::vector<uint8_t> zeros;
    const auto* words = reinterpret_cast<const uint8_t*>(parts.zeros->bytes.data());
    for (int64_t g = 0; g < parts.groups(); ++g)
      for (int64_t r = 0; r < parts.rows; ++r)
        zeros.push_back(nibble(words + g * parts.rows / kPerWord * 4, r));
    return zeros;
  }

  std::function<void(int64_t, int64_t, uint8_t*)> codes_of(const Columns& parts) const override {
    const auto* words = reinterpret_cast<const uint8_t*>(parts.codes->bytes.data());
    return [words, stride = parts.rows / kPerWord * 4, cols = parts.cols](int64_t begin, int64_t end,
                                                                          uint8_t* to) {
      for (int64_t r = begin; r < end; ++r)
        for (int64_t k = 0; k < cols; ++k)
          *to++ = static_cast<uint8_t>((nibble(words + k * stride, r) - kMiddle) & 15);
    };
  }
};

// Readers differ on files without zero-points, so only those with them are written.
bool can_say(const numeric::Scheme& scheme) {
  return is_weight_only_integer(scheme) && scheme.weights.format == &numeric::int4 &&
         !scheme.weights.symmetric;
}

void write(const WriteContext& context, const std::string& module, const QuantizedMatrix& m,
           TensorSink& sink) {
  if (m.rows % kPerWord != 0)
    throw base::BadUsage(
        fmt::format("layout awq needs rows in eights; '{}' is {} x {}", module, m.rows, m.cols));
  AQ_CHECK(m.format == context.scheme.weights.format && !m.zero_points.empty());
  const int64_t words = m.rows / kPerWord, groups = m.blocks_per_row();
  std::vector<uint8_t> packed(static_cast<size_t>(4 * words * m.cols)), column(static_cast<size_t>(m.rows));
  for (int64_t k = 0; k < m.cols; ++k) {
    for (int64_t r = 0; r < m.rows; ++r)
      column[static_cast<size_t>(r)] = static_cast<uint8_t>((m.codes.u8()[r * m.cols + k] + kMiddle) & 15);
    pack_row(column.data(), m.rows, packed.data() + 4 * words * k);
  }
  const std::vector<uint8_t> zeros = zeros_by_group(m);
  std::vector<uint8_t> packed_zeros(static_cast<size_t>(4 * words * groups));
  for (int64_t g = 0; g < groups; ++g)
    pack_row(zeros.data() + g * m.rows, m.rows, packed_zeros.data() + 4 * words * g);
  sink.add(module + ".qweight", "I32", {m.cols, words}, std::as_bytes(std::span(packed)));
  sink.add(module + ".qzeros", "I32", {groups, words}, std::as_bytes(std::span(packed_zeros)));
  add_scales(module, m, sink);
}

Json quantization_config(const Contents& contents) {
  const numeric::WeightScheme& w = contents.groups.front().scheme.weights;
  return {{"quant_method", "awq"},
          {"bits", kBits},
          {"group_size", w.granularity == numeric::Granularity::group ? w.group : -1},
          {"zero_point", true},
          {"version", "gemm"},
          {"modules_to_not_convert", contents.unquantized}};
}

bool matches(const Json& quantization) { return has_quant_method(quantization, "awq"); }

std::unique_ptr<LayoutReader> read_layout(const Json& config, const SafetensorsSet& files,
                                          const std::string& where, std::vector<std::string>&) {
  return std::make_unique<AwqReader>(config["quantization_config"], files, where);
}

}  // namespace

const Layout awq = {
    .name = "awq",
    .matches = matches,
    .read = read_layout,
    .can_say = can_say,
    .write = write,
    .quantization_config = quantization_config,
    .mixes_schemes = false,
    .tensors_per_weight = 3,
};

}  // namespace aquatint::checkpoint
