#include "checkpoint/gguf_blocks.h"

#include <array>

#include "base/error.h"

namespace aquatint::checkpoint {
using numeric::Format;
using tensor::QuantizedMatrix;
using tensor::Scales;
using tensor::Storage;
namespace {

// Where a block's scales go.
struct Target {
  uint8_t* scales;
  uint8_t* minima;
  uint8_t* super_scale;
  uint8_t* super_minimum;
};

void copy_half(const uint8_t* from, uint8_t* to) { std::memcpy(to, from, 2); }

// Low nibbles are the first 16 elements, high nibbles the last 16; `bias` makes the code signed.
void nibbles(const uint8_t* qs, uint8_t bias, uint8_t* codes) {
  for (int i = 0; i < 16; ++i) {
    codes[i] = static_cast<uint8_t>(((qs[i] & 15) - bias) & 15);
    codes[i + 16] = static_cast<uint8_t>(((qs[i] >> 4) - bias) & 15);
  }
}

// The same with a fifth bit from a 32-bit mask.
void nibbles_and_bit(const uint8_t* qs, const uint8_t* qh, uint8_t bias, uint8_t* codes) {
  const auto high = base::load<uint32_t>(qh);
  for (int i = 0; i < 32; ++i) {
    const int low = i < 16 ? qs[i] & 15 : qs[i - 16] >> 4;
    codes[i] = static_cast<uint8_t>(((low | static_cast<int>((high >> i) & 1) << 4) - bias) & 31);
  }
}

void q4_0(const uint8_t* b, uint8_t* codes) { nibbles(b + 2, 8, codes); }
void q4_1(const uint8_t* b, uint8_t* codes) { nibbles(b + 4, 0, codes); }
void q5_0(const uint8_t* b, uint8_t* codes) { nibbles_and_bit(b + 6, b + 2, 16, codes); }
void q5_1(const uint8_t* b, uint8_t* codes) { nibbles_and_bit(b + 8, b + 4, 0, codes); }
void q8_0(const uint8_t* b, uint8_t* codes) { std::memcpy(codes, b + 2, 32); }

void scale(const uint8_t* b, const Target& t) { copy_half(b, t.scales); }
void scale_and_minimum(const uint8_t* b, const Target& t) {
  copy_half(b, t.scales);
  copy_half(b + 2, t.minima);
}

// Two bits of element e: byte 32·(e/128) + e%32, shift 2·((e%128)/32).
int two_bits(const uint8_t* qs, int e) { return (qs[32 * (e / 128) + e % 32] >> (2 * (e % 128 / 32))) & 3; }

void q2_k(const uint8_t* b, uint8_t* codes) {
  for (int e = 0; e < 256; ++e) codes[e] = static_cast<uint8_t>(two_bits(b + 16, e));
}

void q2_k_scales(const uint8_t* b, const Target& t) {
  for (int j = 0; j < 16; ++j) {
    t.scales[j] = b[j] & 15;
    t.minima[j] = b[j] >> 4;
  }
  copy_half(b + 80, t.super_scale);
  copy_half(b + 82, t.super_minimum);
}

void q3_k(const uint8_t* b, uint8_t* codes) {
  for (int e = 0; e < 256; ++e) {
    const int set = (b[e % 32] >> (e / 32)) & 1;
    codes[e] = static_cast<uint8_t>((two_bits(b + 32, e) - (set ? 0 : 4)) & 7);
  }
}

void q3_k_scales(const uint8_t* b, const Target& t) {
  const uint8_t* packed = b + 96;  // sixteen 6-bit scales: low nibbles in 8 bytes, high pairs in 4
  for (int j = 0; j < 16; ++j) {
    const int low = j < 8 ? packed[j] & 15 : packed[j - 8] >> 4;
    const int high = (packed[8 + j % 4] >> (2 * (j / 4))) & 3;
    t.scales[j] = static_cast<uint8_t>(((low | high << 4) - 32) & 63);
  }
  copy_half(b + 108, t.super_scale);
}

// Eight 6-bit scales and minima in 12 bytes.
void scales_and_minima(const uint8_t* s, uint8_t* scales, uint8_t* minima) {
  for (int j = 0; j < 4; ++j) {
    scales[j] = s[j] & 63;
    minima[j] = s[j + 4] & 63;
    scales[j + 4] = static_cast<uint8_t>((s[j + 8] & 15) | (s[j] >> 6) << 4);
    minima[j + 4] = static_cast<uint8_t>((s[j + 8] >> 4) | (s[j + 4] >> 6) << 4);
  }
}

void q4_k_scales(const uint8_t* b, const Target& t) {  // and Q5_K's
  copy_half(b, t.super_scale);
  copy_half(b + 2, t.super_minimum);
  scales_and_minima(b + 4, t.scales, t.minima);
}

// 64 elements share 32 bytes, low nibbles first.
void q4_k(const uint8_t* b, uint8_t* codes) {
  for (const uint8_t* qs = b + 16; qs < b + 144; qs += 32, codes += 64)
    for (int i = 0; i < 32; ++i) {
      codes[i] = qs[i] & 15;
      codes[i + 32] = qs[i] >> 4;
    }
}

// Bits 2 j and 2 j + 1 of b[16 + i] are the fifth bits of elements i and 32 + i of the j-th 64.
void q5_k(const uint8_t* b, uint8_t* codes) {
  for (int j = 0; j < 4; ++j, codes += 64)
    for (int i = 0; i < 32; ++i) {
      const uint8_t both = b[48 + 32 * j + i];
      const int high = b[16 + i] >> (2 * j);
      codes[i] = static_cast<uint8_t>((both & 15) | (high & 1) << 4);
      codes[i + 32] = static_cast<uint8_t>((both >> 4) | (high & 2) << 3);
    }
}

// In each half of 128 elements: element 32 g + i has its low bits in a nibble of byte i + 32 (g % 2), high
// ones first for g ≥ 2, and its high bits in bits 2 g of the half's high byte i.
void q6_k(const uint8_t* b, uint8_t* codes) {
  for (int half = 0; half < 2; ++half)
    for (int g = 0; g < 4; ++g, codes += 32) {
      const uint8_t *low = b + 64 * half + 32 * (g % 2), *high = b + 128 + 32 * half;
      const int shift = g < 2 ? 0 : 4;
      for (int i = 0; i < 32; ++i)
        codes[i] = static_cast<uint8_t>(((low[i] >> shift & 15) | (high[i] >> (2 * g) & 3) << 4) ^ 32);
    }
}

void q6_k_scales(const uint8_t* b, const Target& t) {
  std::memcpy(t.scales, b + 192, 16);
  copy_half(b + 208, t.super_scale);
}

// How a block type reads: element format, elements per scale, and the scales' first level (FP16 when there is
// but one).
struct BlockRule {
  std::string_view name;
  const Format* format;
  int64_t per_scale;
  const Format* scale_format;
  bool minima;
  void (*codes)(const uint8_t* block, uint8_t* codes);
  void (*scales)(const uint8_t* block, const Target& target);
};

const std::array kRules = {
    BlockRule{"Q4_0", &numeric::int4, 32, &numeric::fp16, false, q4_0, scale},
    BlockRule{"Q4_1", &numeric::uint4, 32, &numeric::fp16, true, q4_1, scale_and_minimum},
    BlockRule{"Q5_0", &numeric::int5, 32, &numeric::fp16, false, q5_0, scale},
    BlockRule{"Q5_1", &numeric::uint5, 32, &numeric::fp16, true, q5_1, scale_and_minimum},
    BlockRule{"Q8_0", &numeric::int8, 32, &numeric::fp16, false, q8_0, scale},
    BlockRule{"Q2_K", &numeric::uint2, 16, &numeric::uint4, true, q2_k, q2_k_scales},
    BlockRule{"Q3_K", &numeric::int3, 16, &numeric::int6, false, q3_k, q3_k_scales},
    BlockRule{"Q4_K", &numeric::uint4, 32, &numeric::uint6, true, q4_k, q4_k_scales},
    BlockRule{"Q5_K", &numeric::uint5, 32, &numeric::uint6, true, q5_k, q4_k_scales},
    BlockRule{"Q6_K", &numeric::int6, 16, &numeric::int8, false, q6_k, q6_k_scales},
};

const BlockRule& rule_of(const GgmlType& type) {
  for (const BlockRule& rule : kRules)
    if (rule.name == type.name) return rule;
  AQ_CHECK(false, "no rule for {}", type.name);
  __builtin_unreachable();
}

const Format* float_format(std::string_view name) {
  return name == "F32"    ? &numeric::fp32
         : name == "F16"  ? &numeric::fp16
         : name == "BF16" ? &numeric::bf16
                          : nullptr;
}

Scales make_scales(const BlockRule& rule, int64_t blocks, int64_t per_block) {
  const auto count = static_cast<size_t>(blocks);
  Scales scales;
  scales.format = rule.scale_format;
  scales.codes = Storage::owned(count * static_cast<size_t>(per_block * rule.scale_format->bytes()));
  if (rule.scale_format == &numeric::fp16) return scales;
  scales.super_format = &numeric::fp16;
  scales.super = Storage::owned(count * 2);
  scales.per_super = per_block;
  return scales;
}

Storage move_rows(const Storage& from, const std::vector<int64_t>& source) {
  const size_t row = from.size() / source.size();
  Storage to = Storage::owned(from.size());
  for (size_t r = 0; r < source.size(); ++r)
    std::memcpy(to.mutable_u8() + r * row, from.u8() + static_cast<size_t>(source[r]) * row, row);
  return to;
}

}  // namespace

QuantizedMatrix decode_ggml(const GgmlType& type, base::Bytes data, int64_t rows, int64_t cols) {
  QuantizedMatrix m;
  m.rows = rows;
  m.cols = cols;
  m.stored_bytes = data.size();
  m.format = float_format(type.name);
  if (m.format) {
    m.codes = Storage::borrowed(data);
    return m;
  }
  const BlockRule& rule = rule_of(type);
  const int64_t blocks = rows * cols / type.block, per_block = type.block / rule.per_scale;
  AQ_CHECK(cols % type.block == 0 && data.size() == static_cast<size_t>(blocks * type.block_bytes));
  m.format = rule.format;
  m.block_cols = rule.per_scale;
  m.scales = make_scales(rule, blocks, per_block);
  if (rule.minima) m.minima = make_scales(rule, blocks, per_block);
  m.minima.negated = rule.minima && m.minima.super_format;  // K-quants subtract their minima
  const int64_t scale_bytes = per_block * rule.scale_format->bytes();
  Target t{m.scales.codes.mutable_u8(), m.minima.codes.mutable_u8(), m.scales.super.mutable_u8(),
           m.minima.super.mutable_u8()};
  const auto* first = reinterpret_cast<const uint8_t*>(data.data());
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t super = 2 * i, at = i * scale_bytes;
    rule.scales(first + i * type.block_bytes, {t.scales + at, t.minima ? t.minima + at : nullptr,
                                               t.super_scale ? t.super_scale + super : nullptr,
                                               t.super_minimum ? t.super_minimum + super : nullptr});
  }
  const int64_t per_row = cols / type.block, block_bytes = type.block_bytes, width = type.block;
  m.deferred = [=, decode = rule.codes](int64_t begin, int64_t end, uint8_t* to) {
    for (int64_t i = begin * per_row; i < end * per_row; ++i, to += width)
      decode(first + i * block_bytes, to);
  };
  return m;
}

QuantizedMatrix permute_rows(const QuantizedMatrix& m, const std::vector<int64_t>& source) {
  AQ_CHECK(static_cast<int64_t>(source.size()) == m.rows && m.flat_block == 0 && m.block_rows == 1 &&
           m.zero_points.empty());
  QuantizedMatrix out = m;
  if (m.deferred)
    out.deferred = [inner = m.deferred, source, cols = m.cols](int64_t begin, int64_t end, uint8_t* to) {
      for (int64_t row = begin; row < end; ++row, to += cols) {
        const int64_t from = source[static_cast<size_t>(row)];
        inner(from, from + 1, to);
      }
    };
  else
    out.codes = move_rows(m.codes, source);
  for (Scales* scales : {&out.scales, &out.minima}) {
    if (!scales->present()) continue;
    scales->codes = move_rows(scales->codes, source);
    if (scales->super_format) scales->super = move_rows(scales->super, source);
  }
  return out;
}

}  // namespace aquatint::checkpoint
