// The packed weight of all fast sets: strips of 16 output rows; a strip is a run of 64-byte lines, each
// holding the same few columns of its 16 rows, so that a vector lane is an output row and a thread reads one
// stream.
//
//   form     a line holds                               bytes of lane n
//   f32      1 column                                   its FP32 value
//   bf16     2 columns k, k+1                           its two BF16 values
//   int8     4 columns k … k+3                          its four codes (also unsigned ones, 128 subtracted)
//   fp8      4 columns k … k+3                          its four E4M3 codes
//   codes4   8 columns                                  nibbles 0 … 7 hold k + {0, 4, 1, 5, 2, 6, 3, 7}
//
// (The nibble order lets masks of 0x0f0f0f0f give four consecutive columns for integer dot products.)
// Behind the lines of a strip come its scales [groups][16], its offsets [groups][16] if any, and for int8 the
// sums of its codes [16] int32. Rows are padded to 16 and columns to 64 with codes and scales of zero.
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

enum class Form { f32, bf16, int8, fp8, codes4 };
enum class ScaleType { none, f32, fp16, bf16 };
enum class Offset {
  none,
  zero_point,
  minimum
};  // value = scale · (code − offset)  or  scale · code + offset

constexpr int64_t columns_per_line(Form form) {
  return form == Form::f32 ? 1 : form == Form::bf16 ? 2 : form == Form::codes4 ? 8 : 4;
}

// The rows of one part of a packed matrix.
struct Block {
  int64_t first_row = 0, rows = 0;
  int64_t first_strip = 0, strips = 0;
  Form form{};
  ScaleType scale_type{};
  Offset offset{};
  int64_t group = 0;              // columns under one scale; the padded depth when a row has one
  int64_t groups = 1;             // per row
  std::array<float, 16> table{};  // values of codes4
  int64_t scales_at = 0, offsets_at = 0, sums_at = 0, strip_bytes = 0;  // within a strip
  std::byte* data = nullptr;

  const std::byte* strip(int64_t i) const { return data + i * strip_bytes; }
  int64_t scale_line() const { return scale_type == ScaleType::f32 ? 64 : 32; }  // bytes of 16 scales
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

  // int8 weights with one scale per row meet int8 inputs: integer dot products.
  bool integer() const;
};

std::unique_ptr<PackedMatrix> pack_strips(std::span<const tensor::QuantizedMatrix* const> parts,
                                          Precision precision, base::ThreadPool& pool);

}  // namespace aquatint::kernels
