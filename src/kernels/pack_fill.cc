// Writing the lines and headers of a strip.
#include <algorithm>
#include <cstring>

#include "kernels/packed.h"

namespace aquatint::kernels {
namespace {

using tensor::QuantizedMatrix;

constexpr uint64_t repeat(uint64_t byte) { return byte * 0x0101010101010101u; }

// Rows [first, first + rows) of a matrix, one strip.
struct Rows {
  int64_t first = 0, count = 0;
};

// Columns of all rows that are packed before the next ones: their lines stay in the first-level cache.
constexpr int64_t kTile = 128;

// Codes as they are packed: the low bits, two's complement turned to a distance from the lowest value,
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
  uint64_t eight(const uint8_t* codes) const {
    uint64_t v = (base::load<uint64_t>(codes) & mask_) ^ flip_;
    if (!recode_) return v;
    uint8_t bytes[8];
    std::memcpy(bytes, &v, 8);
    for (uint8_t& byte : bytes) byte = e4m3_[byte];
    std::memcpy(&v, bytes, 8);
    return v;
  }
  // Fewer than eight, then codes of zero.
  uint64_t last(const uint8_t* codes, int64_t n) const {
    uint8_t bytes[8] = {};
    std::copy_n(codes, n, bytes);
    return eight(bytes);
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

// Columns [begin, end) of one row; `to` is its lane in the line of column `begin`.
template <Form form>
void put_run(const Codes& codes, const uint8_t* from, int64_t begin, int64_t end, std::byte* to) {
  constexpr int64_t kRun = form == Form::fp8 ? 8 : run_columns(form);  // two lines of E4M3 at once
  const auto put = [&](int64_t k, uint64_t eight) {
    put_eight<form>(to + bytes_of_columns(form, (k - begin) / kRun * kRun), (k - begin) % kRun / 8, eight);
  };
  int64_t k = begin;
  for (; k + 8 <= end; k += 8) put(k, codes.eight(from + k));
  if (k < end) put(k, codes.last(from + k, end - k));
}

template <Form form>
void put_codes(const Codes& codes, const Block& b, const uint8_t* from, int64_t rows, int64_t cols,
               std::byte* strip) {
  for (int64_t g = 0; g < b.groups; ++g) {
    const int64_t first = g * b.group, last = std::min(first + b.group, cols);
    for (int64_t begin = first; begin < last; begin += kTile) {
      std::byte* to = strip + b.lines_at(g) + bytes_of_columns(form, begin - first);
      for (int64_t lane = 0; lane < rows; ++lane)
        put_run<form>(codes, from + lane * cols, begin, std::min(begin + kTile, last), to + lane * 4);
    }
  }
}

void put_codes(const QuantizedMatrix& m, const Block& b, Rows rows, std::byte* strip) {
  static thread_local std::vector<uint8_t> scratch;
  const Codes codes(m, b);
  const uint8_t* from = tensor::code_rows(m, rows.first, rows.first + rows.count, scratch);
  switch (b.form) {
    case Form::bits4:
      return put_codes<Form::bits4>(codes, b, from, rows.count, m.cols, strip);
    case Form::bits5:
      return put_codes<Form::bits5>(codes, b, from, rows.count, m.cols, strip);
    case Form::bits6:
      return put_codes<Form::bits6>(codes, b, from, rows.count, m.cols, strip);
    case Form::fp8:
      return put_codes<Form::fp8>(codes, b, from, rows.count, m.cols, strip);
    default:
      return put_codes<Form::bits8>(codes, b, from, rows.count, m.cols, strip);
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

void put_super_headers(const QuantizedMatrix& m, const Block& b, int64_t row, std::byte* strip) {
  const int64_t lane = row % kStrip;
  for (int64_t g = 0; g < b.groups; g += b.segment_groups) {
    std::byte* header = strip + b.header_at(g);
    const int64_t first = m.block_of(row, g * b.group);
    put_super(m.scales, b, first, lane, header, header + b.scale_at(0));
    if (b.offset != Offset::none) put_super(m.minima, b, first, lane, header + 32, header + b.offset_at(0));
  }
}

// Scales that are stored as they are packed, in 16 bits, and whose blocks are the groups of a row: no
// arithmetic.
void copy_scales(const tensor::Scales& s, const Block& b, int64_t row, int64_t groups, int64_t at,
                 std::byte* strip) {
  const uint8_t* from = s.codes.u8() + row * groups * 2;
  const uint16_t sign = s.negated ? 0x8000 : 0;
  std::byte* header = strip + at + row % kStrip * 2;
  for (int64_t g = 0; g < groups; header += b.segment_bytes)
    for (int64_t i = 0; i < b.segment_groups && g < groups; ++i, ++g, from += 2)
      base::store(header + i * 32, static_cast<uint16_t>(base::load<uint16_t>(from) ^ sign));
}

bool copies_scales(const QuantizedMatrix& m, const Block& b) {
  return b.scale_type != ScaleType::f32 && m.flat_block == 0 && m.block_rows == 1;
}

void put_headers(const QuantizedMatrix& m, const Block& b, int64_t row, std::byte* strip) {
  const int64_t lane = row % kStrip, groups = base::ceil_div(m.cols, b.group);
  const bool copied = copies_scales(m, b);
  if (copied) copy_scales(m.scales, b, row, groups, b.scale_at(0), strip);
  if (copied && b.offset == Offset::minimum) copy_scales(m.minima, b, row, groups, b.offset_at(0), strip);
  if (copied && b.offset != Offset::zero_point) return;
  for (int64_t g = 0; g < groups; ++g) {
    std::byte* header = strip + b.header_at(g);
    const int64_t block = m.block_of(row, g * b.group), i = g % b.segment_groups;
    if (b.offset == Offset::zero_point)
      put_scale(b.scale_type, header + b.offset_at(i), lane,
                static_cast<float>(m.zero_points[static_cast<size_t>(block)]));
    if (copied) continue;
    put_scale(b.scale_type, header + b.scale_at(i), lane, m.scales.at(block));
    if (b.offset == Offset::minimum)
      put_scale(b.scale_type, header + b.offset_at(i), lane, m.minima.at(block));
  }
}

// `values` is [rows][cols].
void put_values(const Block& b, const float* values, int64_t rows, int64_t cols, std::byte* strip) {
  for (int64_t begin = 0; begin < cols; begin += kTile)
    for (int64_t lane = 0; lane < rows; ++lane) {
      const float* row = values + lane * cols;
      const int64_t end = std::min(begin + kTile, cols);
      if (b.form == Form::f32)
        for (int64_t k = begin; k < end; ++k) base::store(strip + k * kLine + lane * 4, row[k]);
      else
        for (int64_t k = begin; k < end; ++k)
          base::store(strip + k / 2 * kLine + lane * 4 + k % 2 * 2, numeric::float_to_bf16(row[k]));
    }
}

void copy_bf16(const uint8_t* from, int64_t rows, int64_t cols, std::byte* strip) {
  for (int64_t begin = 0; begin < cols; begin += kTile)
    for (int64_t lane = 0; lane < rows; ++lane) {
      const uint8_t* row = from + lane * cols * 2;
      std::byte* to = strip + lane * 4;
      const int64_t end = std::min(begin + kTile, cols);
      for (int64_t k = begin; k + 2 <= end; k += 2)
        base::store(to + k / 2 * kLine, base::load<uint32_t>(row + 2 * k));
      if (end % 2 != 0) base::store(to + end / 2 * kLine, base::load<uint16_t>(row + 2 * (end - 1)));
    }
}

}  // namespace

void fill_strip(const QuantizedMatrix& m, const Block& b, int64_t index) {
  static thread_local std::vector<float> values;
  std::byte* strip = b.data + index * b.strip_bytes;
  const Rows rows{index * kStrip, std::min(kStrip, m.rows - index * kStrip)};
  if (b.scale_type != ScaleType::none) {
    put_codes(m, b, rows, strip);
    const auto put = b.scale_type == ScaleType::super ? put_super_headers : put_headers;
    for (int64_t lane = 0; lane < rows.count; ++lane) put(m, b, rows.first + lane, strip);
  } else if (b.form == Form::bf16 && m.plain() && m.format == &numeric::bf16) {
    copy_bf16(m.codes.u8() + rows.first * m.cols * 2, rows.count, m.cols, strip);
  } else {
    values.resize(static_cast<size_t>(rows.count * m.cols));
    tensor::dequantize(m, rows.first, rows.first + rows.count, values.data());
    put_values(b, values.data(), rows.count, m.cols, strip);
  }
}

}  // namespace aquatint::kernels
