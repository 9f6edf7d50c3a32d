// Packed weights, read back position by position as packed.h describes them.
#include <gtest/gtest.h>

#include <cstring>

#include "base/bytes.h"
#include "base/error.h"
#include "cases/linear_cases.h"
#include "kernels/packed.h"

namespace aquatint::kernels {
namespace {

using cases::WeightKind;
using tensor::QuantizedMatrix;

uint32_t dword(const std::byte* lines, int64_t line, int64_t lane) {
  return base::load<uint32_t>(lines + line * kLine + lane * 4);
}

// The 4 low bits of column `k` of 8.
uint32_t nibble(uint32_t word, int64_t k) { return word >> (4 * (k < 4 ? 2 * k : 2 * (k - 4) + 1)) & 15; }

// The stored code, or the bits of the value, of column k of the group whose lines these are.
uint32_t code_at(Form form, const std::byte* lines, int64_t k, int64_t lane) {
  const int64_t columns = run_columns(form), in_run = k % columns, step = in_run / 8;
  const std::byte* run = lines + k / columns * run_lines(form) * kLine;
  const std::byte* plane = run + (run_lines(form) - 1) * kLine;
  switch (form) {
    case Form::f32:
      return dword(run, 0, lane);
    case Form::bf16:
      return dword(run, 0, lane) >> (16 * in_run) & 0xffff;
    case Form::fp8:
      return dword(run, 0, lane) >> (8 * in_run) & 0xff;
    case Form::bits8:
      return dword(run, in_run / 4, lane) >> (8 * (in_run % 4)) & 0xff;
    case Form::bits4:
      return nibble(dword(run, 0, lane), in_run);
    default:
      break;
  }
  const uint32_t high = dword(plane, 0, lane) >> (8 * (in_run % 4)) & 0xff;
  const int64_t half = in_run % 8 / 4;
  const uint32_t low = nibble(dword(run, step, lane), in_run % 8);
  return form == Form::bits5 ? low | (high >> (2 * step + half) & 1) << 4
                             : low | (high >> (4 * step + 2 * half) & 3) << 4;
}

float scale_or_offset(const Block& b, const std::byte* header, int64_t at, int64_t super_at, int64_t lane) {
  const std::byte* line = header + at;
  switch (b.scale_type) {
    case ScaleType::f32:
      return base::load<float>(line + lane * 4);
    case ScaleType::fp16:
      return numeric::fp16_to_float(base::load<uint16_t>(line + lane * 2));
    case ScaleType::bf16:
      return numeric::bf16_to_float(base::load<uint16_t>(line + lane * 2));
    default:
      return static_cast<float>(static_cast<int8_t>(line[lane])) *
             numeric::fp16_to_float(base::load<uint16_t>(header + super_at + lane * 2));
  }
}

float value_at(const Block& b, int64_t row, int64_t col) {
  const int64_t lane = row % kStrip, g = col / b.group, i = g % b.segment_groups;
  const std::byte* strip = b.strip(row / kStrip);
  const uint32_t code = code_at(b.form, strip + b.lines_at(g), col - g * b.group, lane);
  if (b.form == Form::f32) return std::bit_cast<float>(code);
  if (b.form == Form::bf16) return numeric::bf16_to_float(static_cast<uint16_t>(code));
  float value = b.form == Form::fp8     ? numeric::fp8_e4m3.decode(code)
                : b.form == Form::bits4 ? b.table[code]
                                        : static_cast<float>(static_cast<int>(code) - b.bias);
  const std::byte* header = strip + b.header_at(g);
  if (b.offset == Offset::zero_point) value -= scale_or_offset(b, header, b.offset_at(i), 32, lane);
  value *= scale_or_offset(b, header, b.scale_at(i), 0, lane);
  if (b.offset == Offset::minimum) value += scale_or_offset(b, header, b.offset_at(i), 32, lane);
  return value;
}

void check(const WeightKind& kind, const QuantizedMatrix& m, Precision precision) {
  base::ThreadPool pool(2);
  const QuantizedMatrix* part = &m;
  const auto packed = pack_strips({&part, 1}, precision, pool);
  const Block& b = static_cast<const Packed&>(*packed).blocks[0];
  std::vector<float> expected(static_cast<size_t>(m.rows * m.cols));
  tensor::dequantize(m, 0, m.rows, expected.data());
  for (int64_t row = 0; row < m.rows; ++row)
    for (int64_t col = 0; col < m.cols; ++col) {
      float value = expected[static_cast<size_t>(row * m.cols + col)];
      if (b.form == Form::bf16) value = numeric::bf16_to_float(numeric::float_to_bf16(value));
      ASSERT_EQ(value_at(b, row, col), value)
          << kind.name << ", " << m.rows << " x " << m.cols << " at [" << row << ", " << col << "]";
    }
}

// Columns that a kind's groups allow.
bool fits(const WeightKind& kind, int64_t cols) {
  return kind.per_super == 0 || cols % (int64_t{kind.group} * kind.per_super) == 0;
}

TEST(Packing, HoldsEveryValue) {
  for (const WeightKind& kind : cases::weight_kinds())
    for (const int64_t rows : {1, 15, 16, 33})
      for (const int64_t cols : {1, 17, 64, 100, 192, 256, 320, 584}) {
        if (!fits(kind, cols)) continue;
        const QuantizedMatrix m = cases::random_matrix(kind, rows, cols, static_cast<uint64_t>(rows + cols));
        check(kind, m, Precision::bf16);
        check(kind, m, Precision::fp32);
      }
}

// Codes that lie in a file give the same bytes as codes in memory, and are asked for one strip at a time, so
// that loading needs no more memory than that.
TEST(Packing, DeferredCodesComeByStrips) {
  base::ThreadPool pool(3);
  for (const WeightKind& kind : cases::weight_kinds()) {
    const QuantizedMatrix m = cases::random_matrix(kind, 85, 256, 7);
    if (m.format->bits > 8) continue;
    QuantizedMatrix deferred = m;
    deferred.codes = {};
    deferred.deferred = [&](int64_t begin, int64_t end, uint8_t* codes) {
      EXPECT_LE(end - begin, kStrip);
      std::memcpy(codes, m.codes.u8() + begin * m.cols, static_cast<size_t>((end - begin) * m.cols));
    };
    for (const Precision precision : {Precision::fp32, Precision::bf16}) {
      const QuantizedMatrix *a = &m, *b = &deferred;
      const auto of_memory = pack_strips({&a, 1}, precision, pool),
                 of_file = pack_strips({&b, 1}, precision, pool);
      ASSERT_EQ(of_memory->bytes(), of_file->bytes());
      EXPECT_EQ(std::memcmp(static_cast<const Packed&>(*of_memory).memory.get(),
                            static_cast<const Packed&>(*of_file).memory.get(), of_file->bytes()),
                0)
          << kind.name;
    }
  }
}

}  // namespace
}  // namespace aquatint::kernels
