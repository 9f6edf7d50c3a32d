// Writing the lines and headers of a strip.
#include <algorithm>
#include <cstring>

#include "kernels/packed.h"

namespace aquatint::kernels {
namespace {

using tensor::QuantizedMatrix;

constexpr uint64_t repeat(uint64_t byte) { return byte * 0x0101010101010101u; }

// Codes of one row as they are packed: the low bits, two's complement turned to a distance from the lowest value,
// floating formats recoded to E4M3.
class Codes {
 public:
  Codes(const QuantizedMatrix& m, const Block& b)
      : mask_(repeat((1u << m.format->bits) - 1)), flip_(repeat(static_cast<uint64_t>(b.bias))) {
    if (b.form != Form::fp8 || m.format == &numeric::fp8_e4m3) return;
    recode_ = true;
    for (uint32_t code = 0; code < 1u << m.format->bits; ++code)
      e4m3_[code] = static_cast<uint8_t>(numeric::fp8_e4m3.encode(m.format->decode(code)));
  }
  // Eight codes, of which the first n exist.
  uint64_t eight(const uint8_t* codes, int64_t n) const {
    uint64_t v = 0;
    std::memcpy(&v, codes, static_cast<size_t>(n));
    v = (v & mask_) ^ flip_;
    if (!recode_) return v;
    uint8_t bytes[8];
    std::memcpy(bytes, &v, 8);
    for (uint8_t& byte : bytes) byte = e4m3_[byte];
    std::memcpy(&v, bytes, 8);
    return v;
  }

 private:
  uint64_t mask_, flip_;
  bool recode_ = false;
  std::array<uint8_t, 256> e4m3_{};
};

uint32_t low_half(uint64_t v) { return static_cast<uint32_t>(v); }
uint32_t high_half(uint64_t v) { return static_cast<uint32_t>(v >> 32); }
uint32_t nibbles(uint64_t v) { return low_half(v) | high_half(v) << 4; }

void add_bits(std::byte* at, uint32_t bits) {
  uint32_t word;
  std::memcpy(&word, at, 4);
  word |= bits;
  std::memcpy(at, &word, 4);
}

// Columns [8 step, 8 step + 8) of a run, one lane.
template <Form form>
void put_eight(std::byte* run, int64_t step, uint64_t codes) {
  if constexpr (form == Form::bits8 || form == Form::fp8) {
    base::store(run, low_half(codes));
    base::store(run + kLine, high_half(codes));
  } else if constexpr (form == Form::bits4) {
    base::store(run, nibbles(codes));
  } else if constexpr (form == Form::bits5) {
    base::store(run + step * kLine, nibbles(codes & repeat(15)));
    const uint64_t high = codes >> 4 & repeat(1);
    add_bits(run + 4 * kLine, low_half(high) << 2 * step | high_half(high) << (2 * step + 1));
  } else {
    base::store(run + step * kLine, nibbles(codes & repeat(15)));
    const uint64_t high = codes >> 4 & repeat(3);
    add_bits(run + 2 * kLine, low_half(high) << 4 * step | high_half(high) << (4 * step + 2));
  }
}

template <Form form>
void put_codes(const QuantizedMatrix& m, const Block& b, int64_t row, std::byte* strip) {
  constexpr int64_t kRun = form == Form::fp8 ? 8 : run_columns(form);  // two lines of E4M3 at once
  const Codes codes(m, b);
  const uint8_t* from = m.codes.u8() + row * m.cols;
  const int64_t lane = row % kStrip * 4;
  for (int64_t g = 0; g < b.groups; ++g) {
    std::byte* lines = strip + b.lines_at(g) + lane;
    const int64_t first = g * b.group, count = std::min(b.group_columns(g), m.cols - first);
    for (int64_t k = 0; k < count; k += 8)
      put_eight<form>(lines + bytes_of_columns(form, k / kRun * kRun), k % kRun / 8,
                      codes.eight(from + first + k, std::min<int64_t>(8, count - k)));
  }
}

void put_codes(const QuantizedMatrix& m, const Block& b, int64_t row, std::byte* strip) {
  switch (b.form) {
    case Form::bits4:
      return put_codes<Form::bits4>(m, b, row, strip);
    case Form::bits5:
      return put_codes<Form::bits5>(m, b, row, strip);
    case Form::bits6:
      return put_codes<Form::bits6>(m, b, row, strip);
    case Form::fp8:
      return put_codes<Form::fp8>(m, b, row, strip);
    default:
      return put_codes<Form::bits8>(m, b, row, strip);
  }
}

void put_scale(ScaleType type, std::byte* line, int64_t lane, float value) {
  if (type == ScaleType::f32) base::store(line + lane * 4, value);
  if (type == ScaleType::fp16) base::store(line + lane * 2, numeric::float_to_fp16(value));
  if (type == ScaleType::bf16) base::store(line + lane * 2, numeric::float_to_bf16(value));
}

// One level of a two-level scale: the segment's factor and the groups' integers.
void put_super(const tensor::Scales& s, const Block& b, int64_t first, int64_t lane, std::byte* factor,
               std::byte* integers) {
  uint16_t bits;
  std::memcpy(&bits, s.super.u8() + first / s.per_super * 2, 2);
  if (s.negated) bits ^= 0x8000;
  base::store(factor + lane * 2, bits);
  for (int64_t i = 0; i < b.segment_groups; ++i)
    integers[i * 16 + lane] =
        static_cast<std::byte>(static_cast<int8_t>(s.format->decode(s.codes.u8()[first + i])));
}

void put_headers(const QuantizedMatrix& m, const Block& b, int64_t row, std::byte* strip) {
  const int64_t lane = row % kStrip;
  if (b.scale_type == ScaleType::super) {
    for (int64_t g = 0; g < b.groups; g += b.segment_groups) {
      std::byte* header = strip + b.header_at(g);
      const int64_t first = m.block_of(row, g * b.group);
      put_super(m.scales, b, first, lane, header, header + b.scale_at(0));
      if (b.offset != Offset::none) put_super(m.minima, b, first, lane, header + 32, header + b.offset_at(0));
    }
    return;
  }
  for (int64_t g = 0; g * b.group < m.cols; ++g) {
    std::byte* header = strip + b.header_at(g);
    const int64_t block = m.block_of(row, g * b.group), i = g % b.segment_groups;
    put_scale(b.scale_type, header + b.scale_at(i), lane, m.scales.at(block));
    if (b.offset == Offset::minimum) put_scale(b.scale_type, header + b.offset_at(i), lane, m.minima.at(block));
    if (b.offset == Offset::zero_point)
      put_scale(b.scale_type, header + b.offset_at(i), lane,
                static_cast<float>(m.zero_points[static_cast<size_t>(block)]));
  }
}

void put_values(const Block& b, const float* values, int64_t cols, int64_t lane, std::byte* strip) {
  if (b.form == Form::f32)
    for (int64_t k = 0; k < cols; ++k) base::store(strip + k * kLine + lane * 4, values[k]);
  else
    for (int64_t k = 0; k < cols; ++k)
      base::store(strip + k / 2 * kLine + lane * 4 + k % 2 * 2, numeric::float_to_bf16(values[k]));
}

void copy_bf16(const QuantizedMatrix& m, int64_t row, std::byte* strip) {
  const uint8_t* from = m.codes.u8() + row * m.cols * 2;
  std::byte* to = strip + row % kStrip * 4;
  for (int64_t k = 0; k < m.cols; k += 2, from += 4, to += kLine)
    std::memcpy(to, from, static_cast<size_t>(std::min<int64_t>(2, m.cols - k)) * 2);
}

}  // namespace

void fill_strip(const QuantizedMatrix& m, const Block& b, int64_t index) {
  static thread_local std::vector<float> values;
  std::byte* strip = b.data + index * b.strip_bytes;
  std::memset(strip, 0, static_cast<size_t>(b.strip_bytes));
  for (int64_t row = index * kStrip; row < std::min(m.rows, (index + 1) * kStrip); ++row) {
    if (b.scale_type != ScaleType::none) {
      put_codes(m, b, row, strip);
      put_headers(m, b, row, strip);
    } else if (b.form == Form::bf16 && m.plain() && m.format == &numeric::bf16) {
      copy_bf16(m, row, strip);
    } else {
      values.resize(static_cast<size_t>(m.cols));
      tensor::dequantize(m, row, row + 1, values.data());
      put_values(b, values.data(), m.cols, row % kStrip, strip);
    }
  }
}

}  // namespace aquatint::kernels
