#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "quant/method.h"
#include "quant/methods/double_quantization.h"

namespace aquatint::quant {
namespace {

using numeric::Granularity;

void set_blocks(const numeric::WeightScheme& scheme, tensor::QuantizedMatrix& m) {
  switch (scheme.granularity) {
    case Granularity::tensor:
      m.block_rows = m.rows, m.block_cols = m.cols;
      return;
    case Granularity::channel:
      m.block_cols = m.cols;
      return;
    case Granularity::flat:
      m.flat_block = scheme.group;
      return;
    case Granularity::block:
      m.block_rows = m.block_cols = scheme.group;
      return;
    default:
      m.block_cols = scheme.group;
      if (scheme.group > 0 && m.cols % scheme.group == 0) return;
      throw base::BadUsage(
          fmt::format("cannot cut rows of {} values into blocks of {}; choose a group size that divides {}",
                      m.cols, scheme.group, m.cols));
  }
}

// Codes and zero-points at their packed width; a divisor that the scheme names takes no room.
uint64_t packed_bytes(const tensor::QuantizedMatrix& m, const numeric::WeightScheme& scheme) {
  const size_t super = scheme.constant_divisor > 0 ? 0 : m.scales.super.size();
  const auto bits = static_cast<uint64_t>(m.format->bits);
  const uint64_t code_bits = static_cast<uint64_t>(m.rows) * static_cast<uint64_t>(m.cols) * bits;
  return (code_bits + 7) / 8 + (m.zero_points.size() * bits + 7) / 8 + m.scales.codes.size() + super +
         m.minima.codes.size();
}

std::shared_ptr<const tensor::LowRank> empty_low_rank(int64_t rows, int64_t cols,
                                                      const numeric::LowRankScheme& scheme) {
  if (scheme.rank > std::min(rows, cols))
    throw base::BadUsage(fmt::format("lorc: a matrix of {} x {} has no part of rank {}; choose at most {}",
                                     rows, cols, scheme.rank, std::min(rows, cols)));
  return std::make_shared<tensor::LowRank>(tensor::LowRank{empty_factor(rows, scheme.rank, *scheme.format),
                                                           empty_factor(scheme.rank, cols, *scheme.format)});
}

}  // namespace

numeric::WeightScheme factor_scheme(const numeric::Format& format) {
  return {&format, Granularity::channel, 0, true, &numeric::bf16};
}

tensor::QuantizedMatrix empty_factor(int64_t rows, int64_t cols, const numeric::Format& format) {
  if (format.kind == numeric::Kind::integer) return empty_matrix(rows, cols, factor_scheme(format));
  tensor::QuantizedMatrix m;
  m.format = &format;
  m.rows = rows;
  m.cols = cols;
  m.codes = tensor::Storage::owned(static_cast<size_t>(rows * cols * format.bytes()));
  m.stored_bytes = m.codes.size();
  return m;
}

tensor::QuantizedMatrix empty_matrix(int64_t rows, int64_t cols, const numeric::WeightScheme& scheme) {
  tensor::QuantizedMatrix m;
  m.format = scheme.format;
  m.rows = rows;
  m.cols = cols;
  set_blocks(scheme, m);
  m.codes = tensor::Storage::owned(static_cast<size_t>(rows * cols));
  const auto blocks = static_cast<size_t>(m.blocks());
  if (scheme.double_quantized) {
    m.scales = double_quantize(std::vector<float>(blocks));
  } else {
    m.scales.format = scheme.scale_format;
    m.scales.codes = tensor::Storage::owned(blocks * static_cast<size_t>(scheme.scale_format->bytes()));
  }
  if (scheme.has_divisor()) {
    m.scales.super_format = &numeric::fp32;
    m.scales.super = tensor::Storage::owned(sizeof(float));
    base::store(m.scales.super.mutable_u8(), scheme.constant_divisor);
    m.scales.per_super = m.blocks();
    m.scales.super_divides = true;
  }
  if (scheme.minima) {
    m.minima.format = scheme.scale_format;
    m.minima.codes = tensor::Storage::owned(blocks * static_cast<size_t>(scheme.scale_format->bytes()));
  } else if (!scheme.symmetric) {
    m.zero_points.resize(blocks);
  }
  m.stored_bytes = packed_bytes(m, scheme);
  if (scheme.low_rank.rank > 0) {
    m.low_rank = empty_low_rank(rows, cols, scheme.low_rank);
    m.stored_bytes += m.low_rank->left.stored_bytes + m.low_rank->right.stored_bytes;
  }
  return m;
}

namespace {

// The nearest codes of values in the storage of scales or minima.
void store_values(std::span<const float> values, float factor, tensor::Scales& to) {
  const auto bytes = static_cast<size_t>(to.format->bytes());
  for (size_t i = 0; i < values.size(); ++i) {
    const uint32_t code = to.format->encode(values[i] * factor);
    std::memcpy(to.codes.mutable_u8() + i * bytes, &code, bytes);
  }
}

}  // namespace

void store_scales(std::span<const float> scales, float divisor, tensor::QuantizedMatrix& m) {
  store_values(scales, divisor, m.scales);
  if (m.scales.super_divides) base::store(m.scales.super.mutable_u8(), divisor);
}

void store_zeros(std::span<const float> scales, std::span<const float> zeros, tensor::QuantizedMatrix& m) {
  for (size_t i = 0; i < m.zero_points.size(); ++i) m.zero_points[i] = static_cast<int16_t>(zeros[i]);
  if (!m.minima.present()) return;
  std::vector<float> minima(zeros.size());
  for (size_t i = 0; i < zeros.size(); ++i) minima[i] = -zeros[i] * scales[i];
  store_values(minima, 1, m.minima);
}

float zero_of(const tensor::QuantizedMatrix& m, int64_t block) {
  if (m.minima.present()) return -m.minima.at(block) / m.scales.at(block);
  return m.zero_points.empty() ? 0.0f : m.zero_points[static_cast<size_t>(block)];
}

}  // namespace aquatint::quant
