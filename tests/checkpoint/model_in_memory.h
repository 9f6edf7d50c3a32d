// A checkpoint that lies nowhere, and matrices that follow a scheme, for tests of writing.
#pragma once
#include <map>

#include "base/rng.h"
#include "checkpoint/checkpoint.h"
#include "numeric/scheme.h"

namespace aquatint::checkpoint::test {

class MemoryCheckpoint final : public Checkpoint {
 public:
  explicit MemoryCheckpoint(base::Json config) : config_(std::move(config)) {}
  void add_side_file(const std::string& name, const std::string& bytes) {
    side_files_.push_back({name, bytes});
  }
  void add_weight(const std::string& module, int64_t rows, int64_t cols) {
    weights_.push_back({module, rows, cols, static_cast<uint64_t>(4 * rows * cols), false});
    tensors_.push_back(
        {module + ".weight", "F32", {rows, cols}, static_cast<uint64_t>(4 * rows * cols), rows * cols});
  }

  const std::filesystem::path& path() const override { return path_; }
  const base::Json& config() const override { return config_; }
  std::string layout() const override { return "memory"; }
  std::string scheme() const override { return ""; }
  std::span<const StoredTensor> tensors() const override { return tensors_; }
  std::span<const SideFile> side_files() const override { return side_files_; }
  std::span<const WeightInfo> weights() const override { return weights_; }
  std::span<const std::string> warnings() const override { return {}; }
  bool has_weight(std::string_view) const override { return false; }
  tensor::QuantizedMatrix weight(std::string_view) const override { return {}; }
  bool has_vector(std::string_view) const override { return false; }
  std::vector<float> vector(std::string_view, int64_t) const override { return {}; }
  std::string sha256() const override { return ""; }

 private:
  std::filesystem::path path_ = "memory";
  base::Json config_;
  std::vector<StoredTensor> tensors_;
  std::vector<WeightInfo> weights_;
  std::vector<SideFile> side_files_;
};

inline tensor::Storage random_codes(int64_t n, int bits, base::Rng& rng) {
  tensor::Storage codes = tensor::Storage::owned(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    codes.mutable_u8()[i] = static_cast<uint8_t>(rng.below(uint64_t{1} << bits));
  return codes;
}

inline tensor::Storage random_scales(int64_t n, const numeric::Format& format, base::Rng& rng) {
  tensor::Storage scales = tensor::Storage::owned(static_cast<size_t>(n * format.bytes()));
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t code = format.encode(static_cast<float>(0.01 + rng.uniform()));
    std::memcpy(scales.mutable_u8() + i * format.bytes(), &code, static_cast<size_t>(format.bytes()));
  }
  return scales;
}

// A preset with a group size of the test's own, where it has one.
inline numeric::Scheme with_group(std::string_view preset, int group) {
  numeric::Scheme scheme = *numeric::find_scheme(preset);
  if (scheme.weights.group > 0) scheme.weights.group = group;
  return scheme;
}

// Random codes and scales in the form of `scheme`; NaN codes of E4M3 are left out.
inline tensor::QuantizedMatrix random_matrix(const numeric::Scheme& scheme, int64_t rows, int64_t cols,
                                             uint64_t seed) {
  const int group = scheme.weights.group;
  base::Rng rng(seed);
  tensor::QuantizedMatrix m;
  m.format = scheme.weights.format;
  m.rows = rows;
  m.cols = cols;
  m.codes = random_codes(rows * cols, m.format->bits, rng);
  for (int64_t i = 0; i < rows * cols; ++i)
    if (m.format == &numeric::fp8_e4m3 && (m.codes.u8()[i] & 0x7f) == 0x7f) m.codes.mutable_u8()[i] = 0;
  if (scheme.weights.granularity == numeric::Granularity::flat)
    m.flat_block = group;
  else
    m.block_cols = scheme.weights.granularity == numeric::Granularity::group ? group : cols;
  if (!scheme.weights.symmetric)
    for (int64_t i = 0; i < m.blocks(); ++i)
      m.zero_points.push_back(static_cast<int16_t>(static_cast<int>(rng.below(16)) - 8));
  m.input = scheme.input;
  if (!scheme.weights.double_quantized) {
    m.scales.format = scheme.weights.scale_format;
    m.scales.codes = random_scales(m.blocks(), *m.scales.format, rng);
    return m;
  }
  m.scales.format = &numeric::uint8;
  m.scales.codes = random_codes(m.blocks(), 8, rng);
  for (int i = 0; i < 256; ++i) m.scales.table.push_back(static_cast<float>(i - 128) / 128);
  m.scales.super_format = &numeric::fp32;
  m.scales.per_super = 256;
  m.scales.super = random_scales((m.blocks() + 255) / 256, numeric::fp32, rng);
  m.scales.offset = 1.375f;
  return m;
}

inline std::vector<float> values_of(const tensor::QuantizedMatrix& m) {
  std::vector<float> values(static_cast<size_t>(m.rows * m.cols));
  tensor::dequantize(m, 0, m.rows, values.data());
  return values;
}

}  // namespace aquatint::checkpoint::test
