#include "model/finite.h"

#include <algorithm>
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

// True when some word's exponent bits reach `limit`. Without a branch, so that the loop runs at memory speed.
template <class Word>
bool any_reaches(const uint8_t* codes, int64_t n, Word exponent, Word limit) {
  Word found = 0;
  for (int64_t i = 0; i < n; ++i) {
    const Word word = base::load<Word>(codes + i * static_cast<int64_t>(sizeof(Word)));
    found |= static_cast<Word>((word & exponent) >= limit);
  }
  return found != 0;
}

// NaN and infinity have all exponent bits set in every IEEE-like 16- or 32-bit format.
template <class Word>
bool any_special(const uint8_t* codes, int64_t n, Word exponent) {
  return any_reaches<Word>(codes, n, exponent, exponent);
}

// Whether some of `n` codes may decode to NaN or infinity.
bool codes_suspect(const numeric::Format& format, const uint8_t* codes, int64_t n) {
  if (&format == &numeric::fp32) return any_special<uint32_t>(codes, n, 0x7f800000u);
  if (&format == &numeric::bf16) return any_special<uint16_t>(codes, n, 0x7f80u);
  if (&format == &numeric::fp16) return any_special<uint16_t>(codes, n, 0x7c00u);
  if (format.bits > 8) return true;
  if (format.kind != numeric::Kind::floating) return false;
  std::array<uint8_t, 256> special{};
  const std::span<const float> table = format.table();
  for (size_t code = 0; code < 256; ++code) special[code] = !std::isfinite(table[code & (table.size() - 1)]);
  uint8_t found = 0;
  for (int64_t i = 0; i < n; ++i) found |= special[codes[i]];
  return found != 0;
}

bool codes_suspect(const QuantizedMatrix& m, int64_t begin, int64_t end) {
  if (m.deferred && m.format->kind != numeric::Kind::floating) return false;
  static thread_local std::vector<uint8_t> scratch;
  return codes_suspect(*m.format, tensor::code_rows(m, begin, end, scratch), (end - begin) * m.cols);
}

// Whether the scale, zero-point and minimum of a block may lead out of range, whatever its codes.
bool block_suspect(const QuantizedMatrix& m, int64_t block) {
  const float zero =
      m.zero_points.empty() ? 0 : std::abs(static_cast<float>(m.zero_points[static_cast<size_t>(block)]));
  const float minimum = m.minima.present() ? m.minima.at(block) : 0;
  return !std::isfinite(std::abs(m.scales.at(block)) * (m.format->max + zero) + std::abs(minimum));
}

// Whether some of `n` numbers may be 2^100 or more, so that products with codes and zero-points may overflow.
bool may_be_huge(const numeric::Format& format, const uint8_t* codes, int64_t n) {
  constexpr uint32_t kLimit = 100 + 127;  // as a biased exponent
  if (&format == &numeric::fp32) return any_reaches<uint32_t>(codes, n, 0x7f800000u, kLimit << 23);
  if (&format == &numeric::bf16) return any_reaches<uint16_t>(codes, n, 0x7f80u, kLimit << 7);
  if (&format == &numeric::fp16) return any_special<uint16_t>(codes, n, 0x7c00u);
  return true;
}

// Scales (or minima, or none) of blocks [begin, end) that are far from overflow in FP32: plain numbers, or
// FP16 factors times integers of at most 8 bits.
bool ordinary(const tensor::Scales& s, int64_t begin, int64_t end) {
  if (!s.present()) return true;
  if (!s.table.empty() || s.offset != 0 || begin == end) return false;
  if (!s.super_format) return !may_be_huge(*s.format, s.codes.u8() + begin * s.format->bytes(), end - begin);
  const int64_t first = begin / s.per_super, last = (end - 1) / s.per_super + 1;
  return s.format->kind == numeric::Kind::integer && s.format->bits <= 8 &&
         s.super_format == &numeric::fp16 &&
         !may_be_huge(numeric::fp16, s.super.u8() + 2 * first, last - first);
}

bool blocks_suspect(const QuantizedMatrix& m, int64_t begin, int64_t end) {
  if (m.format->max < 1e6f && ordinary(m.scales, begin, end) && ordinary(m.minima, begin, end)) return false;
  for (int64_t block = begin; block < end; ++block)
    if (block_suspect(m, block)) return true;
  return false;
}

// The same for the blocks that rows [begin, end) touch.
bool row_blocks_suspect(const QuantizedMatrix& m, int64_t begin, int64_t end) {
  if (m.plain()) return false;
  if (m.flat_block > 0) return blocks_suspect(m, m.block_of(begin, 0), m.block_of(end - 1, m.cols - 1) + 1);
  const int64_t across = m.blocks_per_row();
  return blocks_suspect(m, begin / m.block_rows * across, ((end - 1) / m.block_rows + 1) * across);
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

float largest(const QuantizedMatrix& factor) {
  std::vector<float> values(static_cast<size_t>(factor.rows * factor.cols));
  tensor::dequantize(factor, 0, factor.rows, values.data());
  float found = 0;
  for (const float value : values) found = std::max(found, std::fabs(value));
  return found;
}

// Factors are finite, and so are the values that they lead to.
void check_low_rank(const QuantizedMatrix& matrix, const std::string& tensor, const std::string& where,
                    base::ThreadPool& pool) {
  const tensor::LowRank& part = *matrix.low_rank;
  check_finite(part.left, tensor + "_left", where, pool);
  check_finite(part.right, tensor + "_right", where, pool);
  if (!std::isfinite(largest(part.left) * largest(part.right) * static_cast<float>(part.rank())))
    check_values(matrix, 0, matrix.rows, tensor, where);
}

}  // namespace

void check_finite(const QuantizedMatrix& matrix, const std::string& tensor, const std::string& where,
                  base::ThreadPool& pool) {
  if (matrix.low_rank) check_low_rank(matrix, tensor, where, pool);
  check_finite(matrix, 0, matrix.rows, tensor, where, pool);
}

void check_finite(const QuantizedMatrix& matrix, int64_t begin, int64_t end, const std::string& tensor,
                  const std::string& where, base::ThreadPool& pool) {
  constexpr int64_t kRowsAtOnce = 16;
  pool.parallel_for(end - begin, kRowsAtOnce, [&](int64_t from, int64_t to) {
    for (int64_t row = begin + from; row < begin + to; row += kRowsAtOnce) {
      const int64_t last = std::min(begin + to, row + kRowsAtOnce);
      if (codes_suspect(matrix, row, last) || row_blocks_suspect(matrix, row, last))
        check_values(matrix, row, last, tensor, where);
    }
  });
}

void check_finite(const std::vector<float>& values, const std::string& tensor, const std::string& where) {
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i])) not_finite(values[i], fmt::format("[{}]", i), tensor, where);
}

}  // namespace aquatint::model
