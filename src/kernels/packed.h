// The packed weight of all fast sets: strips of 16 output rows. A strip is a run of 64-byte lines, each
// holding the same few columns of its 16 rows, so that a vector lane is an output row and a thread reads one
// stream.
//
//   form   run of lines  bytes (or bits) of lane n
//   f32    1: 1 column   its FP32 value
//   bf16   1: 2 columns  its two BF16 values
//   fp8    1: 4 columns  its four E4M3 codes
//   bits8  2: 8 columns  four unsigned codes, twice
//   bits4  1: 8          nibbles 0 … 7 hold columns 0, 4, 1, 5, 2, 6, 3, 7
//   bits6  3: 16         two lines as bits4 for the low bits; a plane for the high ones:
//                        byte i has two bits of column 8 s + 4 h + i at bit 4 s + 2 h
//   bits5  5: 32         four lines as bits4; a plane:
//                        byte i has the high bit of column 8 s + 4 h + i at bit 2 s + h
//
// (So masks give four consecutive columns a dword for byte products, and columns (0, 2), (1, 3), (4, 6), (5,
// 7) for products of 16-bit pairs.) Scales stand in the stream, where the reader is anyway: the groups of a
// strip come in segments, each a header of scales and offsets followed by its lines. Rows are padded to 16
// and columns to 64; padding meets inputs of zero.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/ops.h"

namespace aquatint::kernels {

constexpr int64_t kStrip = 16;
constexpr int64_t kLine = 64;       // bytes
constexpr int64_t kDepthUnit = 64;  // columns are padded to a multiple

enum class Form { f32, bf16, fp8, bits4, bits5, bits6, bits8 };
enum class ScaleType { none, f32, fp16, bf16, super };  // super: FP16 per segment times int8 per group
// zero_point: value = scale · (code − offset); minimum: scale · code + offset.
enum class Offset { none, zero_point, minimum };

constexpr bool is_integer(Form form) { return form >= Form::bits4; }
constexpr int64_t run_columns(Form form) {
  switch (form) {
    case Form::f32:
      return 1;
    case Form::bf16:
      return 2;
    case Form::fp8:
      return 4;
    case Form::bits6:
      return 16;
    case Form::bits5:
      return 32;
    default:
      return 8;
  }
}
constexpr int64_t run_lines(Form form) {
  return form == Form::bits5 ? 5 : form == Form::bits6 ? 3 : form == Form::bits8 ? 2 : 1;
}
constexpr int64_t bytes_of_columns(Form form, int64_t columns) {
  return columns / run_columns(form) * run_lines(form) * kLine;
}

// The rows of one part of a packed matrix.
struct Block {
  int64_t first_row = 0, rows = 0;
  int64_t first_strip = 0, strips = 0;
  Form form{};
  int bias = 0;           // subtracted from every integer code
  bool codebook = false;  // bits4 codes stand for `table`, not for themselves
  // Values of the 16 codes of bits4; as integers they are value / unit, at most 2047, exact or rounded.
  std::array<float, 16> table{};
  std::array<int16_t, 16> integers{};
  float unit = 1;

  ScaleType scale_type{};
  Offset offset{};
  int64_t depth = 0;           // columns, padded
  int64_t group = 0;           // columns under one scale; `depth` when a row has one
  int64_t groups = 1;          // per row; the last may be cut short by `depth`
  int64_t segment_groups = 1;  // that share a header
  int64_t header_bytes = 0, segment_bytes = 0, strip_bytes = 0;
  std::byte* data = nullptr;

  const std::byte* strip(int64_t i) const { return data + i * strip_bytes; }
  // Bytes from the start of a strip to what belongs to group g.
  int64_t header_at(int64_t g) const { return g / segment_groups * segment_bytes; }
  int64_t lines_at(int64_t g) const {
    return header_at(g) + header_bytes + g % segment_groups * bytes_of_columns(form, group);
  }
  int64_t group_columns(int64_t g) const { return std::min(group, depth - g * group); }
  // Bytes from a header to the scale or offset of its i-th group.
  int64_t scale_bytes() const {
    return scale_type == ScaleType::f32 ? 64 : scale_type == ScaleType::super ? 16 : 32;
  }
  int64_t super_bytes() const {
    return scale_type != ScaleType::super ? 0 : offset == Offset::none ? 32 : 64;
  }
  int64_t scale_at(int64_t i) const { return super_bytes() + i * scale_bytes(); }
  int64_t offset_at(int64_t i) const { return super_bytes() + (segment_groups + i) * scale_bytes(); }
};

struct Packed final : PackedMatrix {
  int64_t rows() const override { return out_features; }
  int64_t cols() const override { return in_features; }
  uint64_t bytes() const override { return total_bytes; }

  int64_t out_features = 0, in_features = 0;
  int64_t depth = 0;   // in_features padded
  int64_t strips = 0;  // of all blocks
  Precision precision{};
  numeric::ActivationScheme input;
  std::vector<Block> blocks;
  uint64_t total_bytes = 0;
  std::shared_ptr<std::byte> memory;

  bool integer_inputs() const { return input.format && input.format->kind == numeric::Kind::integer; }
};

std::unique_ptr<PackedMatrix> pack_strips(std::span<const tensor::QuantizedMatrix* const> parts,
                                          Precision precision, base::ThreadPool& pool);

// Its parts. How a matrix is laid out: everything of a Block but its place.
Block plan_block(const tensor::QuantizedMatrix& m, Precision precision, int64_t depth);
// Fills strip `index` of a block, whose memory is zero.
void fill_strip(const tensor::QuantizedMatrix& m, const Block& b, int64_t index);

}  // namespace aquatint::kernels
