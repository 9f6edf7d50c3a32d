// Weights as the GPU computes with them: which codes and scales a matrix keeps, and its records
// (linear_plan.h). Host data only.
//
// Integers of at most 4 bits are kept in 4, wider ones in 8; formats of 16 values in 4 bits with their table
// rounded to BF16; formats whose values are all E4M3's as E4M3. Everything else becomes BF16: plain weights,
// groups that are no multiple of 16 columns, flat blocks that cross rows, other floating formats.
#pragma once
#include <array>
#include <cstddef>

#include "kernels/cuda/linear_plan.h"
#include "kernels/ops.h"

namespace aquatint::kernels::cuda {

struct PartPlan {
  RecordPlan record;
  int64_t rows = 0, cols = 0;
  int64_t depth = 0;                             // cols, padded to whole records
  float factor = 1;                              // of the whole matrix
  bool row_scales = false, row_offsets = false;  // one a row, FP32, outside the records
  bool integers = false;                         // Precision::int8 meets them with int8 inputs
  std::array<float, 16> table = {};              // of book4

  int64_t row_blocks() const { return (rows + kBlockRows - 1) / kBlockRows; }
  int64_t row_block_bytes() const {
    if (record.codes == Codes::f32) return kBlockRows * depth * 4;
    return depth / record.columns() * record.bytes();
  }
};

PartPlan plan_part(const tensor::QuantizedMatrix& m, Precision precision);

// The records of one block of rows into row_block_bytes() bytes of zeros. False when a code has no value in
// the planned form (E4M3's NaNs): `plan_as_bf16` then.
[[nodiscard]] bool fill_row_block(const tensor::QuantizedMatrix& m, const PartPlan& plan, int64_t row_block,
                                  std::byte* records);
PartPlan plan_as_bf16(const tensor::QuantizedMatrix& m);

// Scale and offset of one row, where they stand by the row.
float row_scale(const tensor::QuantizedMatrix& m, int64_t row);
float row_offset(const tensor::QuantizedMatrix& m, int64_t row);

}  // namespace aquatint::kernels::cuda
