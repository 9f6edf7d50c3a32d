#include "model/finite.h"

#include <array>
#include <cmath>
#include <vector>

#include "base/error.h"

namespace aquatint::model {
namespace {

using tensor::QuantizedMatrix;

[[noreturn]] void not_finite(float value, const std::string& at, const std::string& tensor,
                             const std::string& where) {
  throw base::BadInput(
      fmt::format("{}: tensor \"{}\" holds {} at {}, expected finite weights (is the file damaged?)", where,
                  tensor, std::isnan(value) ? "NaN" : "infinity", at));
}

// True when some word has all exponent bits set: NaN or infinity in every IEEE-like 16- or 32-bit format.
// Without a branch, so that the loop runs at memory speed.
template <class Word>
bool any_special(const uint8_t* codes, int64_t n, Word exponent) {
  Word found = 0;
  for (int64_t i = 0; i < n; ++i) {
    const Word word = base::load<Word>(codes + i * static_cast<int64_t>(sizeof(Word)));
    found |= static_cast<Word>((word & exponent) == exponent);
  }
  return found != 0;
}

// Whether some code of rows [begin, end) may decode to NaN or infinity.
bool codes_suspect(const QuantizedMatrix& m, int64_t begin, int64_t end) {
  const int64_t n = (end - begin) * m.cols;
  const uint8_t* codes = m.codes.u8() + begin * m.cols * m.format->bytes();
  if (m.format == &numeric::fp32) return any_special<uint32_t>(codes, n, 0x7f800000u);
  if (m.format == &numeric::bf16) return any_special<uint16_t>(codes, n, 0x7f80u);
  if (m.format == &numeric::fp16) return any_special<uint16_t>(codes, n, 0x7c00u);
  if (m.format->bits > 8) return true;
  if (m.format->kind != numeric::Kind::floating) return false;
  std::array<uint8_t, 256> special{};
  const std::span<const float> table = m.format->table();
  for (size_t code = 0; code < 256; ++code) special[code] = !std::isfinite(table[code & (table.size() - 1)]);
  uint8_t found = 0;
  for (int64_t i = 0; i < n; ++i) found |= special[codes[i]];
  return found != 0;
}

// Whether the scale, zero-point and minimum of a block may lead out of range, whatever its codes.
bool block_suspect(const QuantizedMatrix& m, int64_t block) {
  const float zero =
      m.zero_points.empty() ? 0 : std::abs(static_cast<float>(m.zero_points[static_cast<size_t>(block)]));
  const float minimum = m.minima.present() ? m.minima.at(block) : 0;
  return !std::isfinite(std::abs(m.scales.at(block)) * (m.format->max + zero) + std::abs(minimum));
}

bool blocks_suspect(const QuantizedMatrix& m, int64_t begin, int64_t end) {
  if (m.plain()) return false;
  bool found = false;
  if (m.flat_block > 0) {
    for (int64_t b = m.block_of(begin, 0); b <= m.block_of(end - 1, m.cols - 1); ++b)
      found |= block_suspect(m, b);
  } else {
    const int64_t across = m.blocks_per_row();
    for (int64_t b = begin / m.block_rows * across; b < ((end - 1) / m.block_rows + 1) * across; ++b)
      found |= block_suspect(m, b);
  }
  return found;
}

// The exact check, of rows that the quick one cannot clear.
void check_values(const QuantizedMatrix& m, int64_t begin, int64_t end, const std::string& tensor,
                  const std::string& where) {
  std::vector<float> values(static_cast<size_t>(m.cols));
  for (int64_t row = begin; row < end; ++row) {
    tensor::dequantize(m, row, row + 1, values.data());
    for (int64_t col = 0; col < m.cols; ++col)
      if (!std::isfinite(values[static_cast<size_t>(col)]))
        not_finite(values[static_cast<size_t>(col)], fmt::format("[{}, {}]", row, col), tensor, where);
  }
}

}  // namespace

void check_finite(const QuantizedMatrix& matrix, const std::string& tensor, const std::string& where,
                  base::ThreadPool& pool) {
  constexpr int64_t kRowsAtOnce = 16;
  pool.parallel_for(matrix.rows, kRowsAtOnce, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row += kRowsAtOnce) {
      const int64_t last = std::min(end, row + kRowsAtOnce);
      if (codes_suspect(matrix, row, last) || blocks_suspect(matrix, row, last))
        check_values(matrix, row, last, tensor, where);
    }
  });
}

void check_finite(const std::vector<float>& values, const std::string& tensor, const std::string& where) {
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i])) not_finite(values[i], fmt::format("[{}]", i), tensor, where);
}

}  // namespace aquatint::model
