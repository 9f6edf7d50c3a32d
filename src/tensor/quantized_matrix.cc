#include "tensor/quantized_matrix.h"

#include <algorithm>

#include "base/error.h"

namespace aquatint::tensor {
namespace {

float decode_at(const numeric::Format& format, const Storage& codes, int64_t i) {
  const uint8_t* at = codes.u8() + i * format.bytes();
  switch (format.bytes()) {
    case 1:
      return format.table()[*at & ((1u << format.bits) - 1)];
    case 2:
      return format.decode(base::load<uint16_t>(at));
    default:
      return format.decode(base::load<uint32_t>(at));
  }
}

void decode_run(const numeric::Format& format, const uint8_t* codes, int64_t n, float* out) {
  if (&format == &numeric::fp32) {
    std::memcpy(out, codes, static_cast<size_t>(n) * 4);
  } else if (&format == &numeric::bf16) {
    for (int64_t i = 0; i < n; ++i) out[i] = numeric::bf16_to_float(base::load<uint16_t>(codes + 2 * i));
  } else if (&format == &numeric::fp16) {
    for (int64_t i = 0; i < n; ++i) out[i] = numeric::fp16_to_float(base::load<uint16_t>(codes + 2 * i));
  } else if (format.bits <= 8) {
    const float* table = format.table().data();
    const uint32_t mask = (1u << format.bits) - 1;
    for (int64_t i = 0; i < n; ++i) out[i] = table[codes[i] & mask];
  } else {
    for (int64_t i = 0; i < n; ++i) out[i] = format.decode(base::load<uint32_t>(codes + 4 * i));
  }
}

// One run inside one block.
void apply_block(const QuantizedMatrix& m, int64_t block, int64_t n, float* values) {
  const float scale = m.scales.at(block);
  if (!m.zero_points.empty()) {
    const float zero = static_cast<float>(m.zero_points[static_cast<size_t>(block)]);
    for (int64_t i = 0; i < n; ++i) values[i] -= zero;
  }
  for (int64_t i = 0; i < n; ++i) values[i] *= scale;
  if (m.minima.present()) {
    const float minimum = m.minima.at(block);
    for (int64_t i = 0; i < n; ++i) values[i] += minimum;
  }
}

void add_low_rank(const LowRank& part, int64_t begin, int64_t end, int64_t cols, float* out) {
  const auto rank = static_cast<size_t>(part.rank()), width = static_cast<size_t>(cols);
  std::vector<float> left(static_cast<size_t>(end - begin) * rank), right(rank * width), sum(width);
  dequantize(part.left, begin, end, left.data());
  dequantize(part.right, 0, part.rank(), right.data());
  for (const float* of_row = left.data(); begin < end; ++begin, of_row += rank, out += width) {
    std::fill(sum.begin(), sum.end(), 0.0f);
    for (size_t i = 0; i < rank; ++i)
      for (size_t col = 0; col < width; ++col) sum[col] += of_row[i] * right[i * width + col];
    for (size_t col = 0; col < width; ++col) out[col] += sum[col];
  }
}

}  // namespace

float Scales::at(int64_t i) const {
  float value = table.empty() ? decode_at(*format, codes, i) : table[codes.u8()[i]];
  if (super_format) {
    const float second = decode_at(*super_format, super, i / per_super);
    value = super_divides ? value / second : value * second;
  }
  if (offset != 0) value += offset;  // −0 stays −0 where there is none
  return negated ? -value : value;
}

const uint8_t* code_rows(const QuantizedMatrix& m, int64_t begin, int64_t end,
                         std::vector<uint8_t>& scratch) {
  if (!m.deferred) return m.codes.u8() + begin * m.cols * m.format->bytes();
  const auto size = static_cast<size_t>((end - begin) * m.cols);
  if (scratch.size() < size) scratch.resize(size);
  m.deferred(begin, end, scratch.data());
  return scratch.data();
}

QuantizedMatrix with_codes(QuantizedMatrix m) {
  if (!m.deferred) return m;
  m.codes = Storage::owned(static_cast<size_t>(m.rows * m.cols));
  m.deferred(0, m.rows, m.codes.mutable_u8());
  m.deferred = nullptr;
  return m;
}

QuantizedMatrix without_low_rank(QuantizedMatrix m) {
  if (!m.low_rank) return m;
  m.stored_bytes -= m.low_rank->left.stored_bytes + m.low_rank->right.stored_bytes;
  m.low_rank = nullptr;
  return m;
}

void dequantize(const QuantizedMatrix& m, int64_t begin, int64_t end, float* out) {
  AQ_CHECK(0 <= begin && begin <= end && end <= m.rows, "rows {} to {} of {}", begin, end, m.rows);
  static thread_local std::vector<uint8_t> scratch;
  float* const first = out;
  for (int64_t row = begin; row < end; ++row, out += m.cols) {
    decode_run(*m.format, code_rows(m, row, row + 1, scratch), m.cols, out);
    if (m.plain()) continue;
    for (int64_t col = 0; col < m.cols;) {
      const int64_t run = m.flat_block > 0 ? m.flat_block - (row * m.cols + col) % m.flat_block
                                           : m.block_cols - col % m.block_cols;
      const int64_t n = std::min(run, m.cols - col);
      apply_block(m, m.block_of(row, col), n, out + col);
      col += n;
    }
  }
  if (m.low_rank) add_low_rank(*m.low_rank, begin, end, m.cols, first);
}

QuantizedMatrix plain_matrix(const std::vector<float>& values, int64_t rows, int64_t cols) {
  AQ_CHECK(static_cast<int64_t>(values.size()) == rows * cols, "{} values for {} x {}", values.size(), rows,
           cols);
  QuantizedMatrix m;
  m.format = &numeric::fp32;
  m.rows = rows;
  m.cols = cols;
  m.codes = Storage::copy_of(std::span<const float>(values));
  m.stored_bytes = m.codes.size();
  return m;
}

}  // namespace aquatint::tensor
