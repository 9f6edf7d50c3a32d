#include "base/error.h"
#include "quant/method.h"
#include "quant/methods/double_quantization.h"

namespace aquatint::quant {
namespace {

using numeric::Granularity;

int64_t block_length(const numeric::WeightScheme& scheme, int64_t cols) {
  if (scheme.granularity == Granularity::channel) return cols;
  if (scheme.granularity == Granularity::flat && scheme.group > 0) return scheme.group;
  if (scheme.granularity == Granularity::group && scheme.group > 0 && cols % scheme.group == 0)
    return scheme.group;
  throw base::BadUsage(
      fmt::format("cannot cut rows of {} values into blocks of {}; choose a group size that divides {}", cols,
                  scheme.group, cols));
}

// Codes and zero-points at their packed width.
uint64_t packed_bytes(const tensor::QuantizedMatrix& m) {
  const auto bits = static_cast<uint64_t>(m.format->bits);
  const uint64_t code_bits = static_cast<uint64_t>(m.rows) * static_cast<uint64_t>(m.cols) * bits;
  return (code_bits + 7) / 8 + (m.zero_points.size() * bits + 7) / 8 + m.scales.codes.size() +
         m.scales.super.size();
}

}  // namespace

tensor::QuantizedMatrix empty_matrix(int64_t rows, int64_t cols, const numeric::WeightScheme& scheme) {
  const int64_t length = block_length(scheme, cols);
  tensor::QuantizedMatrix m;
  m.format = scheme.format;
  m.rows = rows;
  m.cols = cols;
  m.block_cols = length;
  if (scheme.granularity == Granularity::flat) m.flat_block = length;
  m.codes = tensor::Storage::owned(static_cast<size_t>(rows * cols));
  const auto blocks = static_cast<size_t>(m.blocks());
  if (scheme.double_quantized) {
    m.scales = double_quantize(std::vector<float>(blocks));
  } else {
    m.scales.format = scheme.scale_format;
    m.scales.codes = tensor::Storage::owned(blocks * static_cast<size_t>(scheme.scale_format->bytes()));
  }
  if (!scheme.symmetric) m.zero_points.resize(blocks);
  m.stored_bytes = packed_bytes(m);
  return m;
}

}  // namespace aquatint::quant
