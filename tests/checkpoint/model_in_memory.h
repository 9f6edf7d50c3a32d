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

// A preset with a group size of the test's own, where it has one to choose.
inline numeric::Scheme with_group(std::string_view preset, int group) {
  const numeric::Scheme& scheme = *numeric::find_scheme(preset);
  return scheme.weights.group > 0 && !scheme.weights.fixed_group() ? numeric::with_group(scheme, group)
                                                                   : scheme;
}

inline void set_blocks(const numeric::WeightScheme& w, tensor::QuantizedMatrix& m) {
  using numeric::Granularity;
  m.block_cols =
      w.granularity == Granularity::group || w.granularity == Granularity::block ? w.group : m.cols;
  if (w.granularity == Granularity::tensor) m.block_rows = m.rows;
  if (w.granularity == Granularity::block) m.block_rows = w.group;
  if (w.granularity == Granularity::flat) m.flat_block = w.group;
}

inline tensor::Scales double_scales(int64_t blocks, base::Rng& rng) {
  tensor::Scales scales;
  scales.format = &numeric::uint8;
  scales.codes = random_codes(blocks, 8, rng);
  for (int i = 0; i < 256; ++i) scales.table.push_back(static_cast<float>(i - 128) / 128);
  scales.super_format = &numeric::fp32;
  scales.per_super = 256;
  scales.super = random_scales((blocks + 255) / 256, numeric::fp32, rng);
  scales.offset = 1.375f;
  return scales;
}

inline tensor::Scales one_level(int64_t blocks, const numeric::Format& format, base::Rng& rng) {
  tensor::Scales scales;
  scales.format = &format;
  scales.codes = random_scales(blocks, format, rng);
  return scales;
}

// A factor of a low-rank part, in int8 or BF16.
inline tensor::QuantizedMatrix random_factor(const numeric::Format& format, int64_t rows, int64_t cols,
                                             base::Rng& rng) {
  tensor::QuantizedMatrix m;
  m.format = &format;
  m.rows = rows;
  m.cols = m.block_cols = cols;
  const bool codes = &format == &numeric::int8;
  m.codes = codes ? random_codes(rows * cols, 8, rng) : random_scales(rows * cols, format, rng);
  if (codes) m.scales = one_level(rows, numeric::bf16, rng);
  m.stored_bytes = m.codes.size() + m.scales.codes.size();
  return m;
}

// Random codes and scales in the form of `scheme`; NaN codes of E4M3 are left out.
inline tensor::QuantizedMatrix random_matrix(const numeric::Scheme& scheme, int64_t rows, int64_t cols,
                                             uint64_t seed) {
  base::Rng rng(seed);
  const numeric::WeightScheme& w = scheme.weights;
  tensor::QuantizedMatrix m;
  m.format = w.format;
  m.rows = rows;
  m.cols = cols;
  m.codes = random_codes(rows * cols, m.format->bits, rng);
  for (int64_t i = 0; i < rows * cols; ++i)
    if (m.format == &numeric::fp8_e4m3 && (m.codes.u8()[i] & 0x7f) == 0x7f) m.codes.mutable_u8()[i] = 0;
  set_blocks(w, m);
  const int64_t blocks = m.blocks();
  m.scales = w.double_quantized ? double_scales(blocks, rng) : one_level(blocks, *w.scale_format, rng);
  if (w.has_divisor()) {
    m.scales.super_format = &numeric::fp32;
    m.scales.super = w.constant_divisor > 0
                         ? tensor::Storage::copy_of(std::span<const float>(&w.constant_divisor, 1))
                         : random_scales(1, numeric::fp32, rng);
    m.scales.per_super = blocks;
    m.scales.super_divides = true;
  }
  if (w.minima) m.minima = one_level(blocks, *w.scale_format, rng);
  if (!w.symmetric && !w.minima)
    for (int64_t i = 0; i < blocks; ++i)
      m.zero_points.push_back(static_cast<int16_t>(
          m.format->decode(static_cast<uint32_t>(rng.below(uint64_t{1} << m.format->bits)))));
  if (const auto& part = w.low_rank; part.rank > 0)
    m.low_rank =
        std::make_shared<tensor::LowRank>(tensor::LowRank{random_factor(*part.format, rows, part.rank, rng),
                                                          random_factor(*part.format, part.rank, cols, rng)});
  m.input = scheme.input;
  if (m.input.needs_calibration()) m.input.static_scale = 0.375f;
  return m;
}

inline std::vector<float> values_of(const tensor::QuantizedMatrix& m) {
  std::vector<float> values(static_cast<size_t>(m.rows * m.cols));
  tensor::dequantize(m, 0, m.rows, values.data());
  return values;
}

}  // namespace aquatint::checkpoint::test
