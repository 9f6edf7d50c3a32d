// Where codes and scales lie, and packed weights read back place by place.
#include "kernels/cuda/linear_pack.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "base/bytes.h"
#include "cases/linear_cases.h"

namespace aquatint::kernels::cuda {
namespace {

using cases::WeightKind;
using tensor::QuantizedMatrix;

TEST(LinearPlan, EveryCodeOfABlockHasItsOwnPlace) {
  for (const Codes codes : {Codes::int4, Codes::book4, Codes::int8, Codes::e4m3, Codes::bf16}) {
    std::set<int> places;
    for (int row = 0; row < kBlockRows; ++row)
      for (int col = 0; col < kBlockColumns; ++col) {
        const CodePlace p = code_place(codes, row, col);
        ASSERT_EQ(p.bit % code_bits(codes), 0);
        ASSERT_LE(p.bit + code_bits(codes), std::max(8, code_bits(codes)));
        ASSERT_LT(p.byte, block_bytes(codes));
        EXPECT_TRUE(places.insert(p.byte * 8 + p.bit).second) << row << ", " << col;
      }
    EXPECT_EQ(places.size(), size_t{kBlockRows * kBlockColumns});
  }
}

// What mma wants of a lane (PTX ISA, m16n8k16): words 0 … 3 of the left operand.
TEST(LinearPlan, LanesHoldTheFragmentsOfTheirRows) {
  for (const Codes codes : {Codes::int4, Codes::book4, Codes::int8, Codes::e4m3, Codes::bf16})
    for (int row = 0; row < kBlockRows; ++row)
      for (int col = 0; col < kBlockColumns; ++col) {
        const int bytes = code_place(codes, row, col).byte, lane = bytes / 16 % 32;
        EXPECT_EQ(lane / 4, row % 8);
        EXPECT_EQ(lane % 4, col % 16 / 4);
        const int vector = bytes / 512;  // of sixteen bytes a lane
        const int of_row_tile = block_bytes(codes) / kRowTiles / 512;
        EXPECT_EQ(vector / of_row_tile, row / 16);
      }
}

TEST(LinearPlan, ScalesAndInputsArePermuted) {
  std::set<int> rows, columns;
  for (int i = 0; i < 64; ++i) {
    rows.insert(scale_place(i));
    columns.insert(input_place(i));
    EXPECT_EQ(scale_place(i) / 8, i % 8);
    EXPECT_EQ(input_place(i) / 16, i % 16 / 4);
  }
  EXPECT_EQ(rows.size(), 64u);
  EXPECT_EQ(columns.size(), 64u);
}

TEST(LinearPlan, ChunksCoverTheDepthOnce) {
  for (const Codes codes : {Codes::int4, Codes::int8, Codes::bf16})
    for (int blocks : {1, 2})
      for (int64_t depth = 1; depth < 30000; depth += depth < 700 ? 1 : 977) {
        RecordPlan r;
        r.codes = codes;
        r.blocks = static_cast<int8_t>(blocks);
        const ChunkPlan c = plan_chunks(r, depth);
        EXPECT_GE(c.records * r.columns(), depth);
        EXPECT_LT((c.records - 1) * r.columns(), depth);
        EXPECT_EQ(c.chunk_records % kDecodeWarps, 0);
        EXPECT_GE(c.chunks * c.chunk_records, c.records);
        EXPECT_LT((c.chunks - 1) * c.chunk_records, c.records);
      }
}

uint32_t code_at(Codes codes, const std::byte* block, int row, int col) {
  const CodePlace p = code_place(codes, row, col);
  if (code_bits(codes) == 16) return base::load<uint16_t>(block + p.byte);
  return static_cast<uint32_t>(block[p.byte]) >> p.bit & ((1u << code_bits(codes)) - 1);
}

float word_at(ScaleWord type, const std::byte* words, int64_t at) {
  if (type == ScaleWord::f32) return base::load<float>(words + at * 4);
  if (type == ScaleWord::super) return static_cast<float>(static_cast<int8_t>(words[at]));
  const auto bits = base::load<uint16_t>(words + at * 2);
  return type == ScaleWord::fp16 ? numeric::fp16_to_float(bits) : numeric::bf16_to_float(bits);
}

float value_at(const QuantizedMatrix& m, const PartPlan& plan, const std::byte* data, int64_t row,
               int64_t col) {
  const RecordPlan& r = plan.record;
  const std::byte* rows = data + row / kBlockRows * plan.row_block_bytes();
  const int in_block = static_cast<int>(row % kBlockRows);
  if (r.codes == Codes::f32) return base::load<float>(rows + (in_block * plan.depth + col) * 4);
  const std::byte* record = rows + col / r.columns() * r.bytes();
  const uint32_t code = code_at(r.codes, record + col % r.columns() / 64 * block_bytes(r.codes), in_block,
                                static_cast<int>(col % 64));
  if (r.codes == Codes::bf16) return numeric::bf16_to_float(static_cast<uint16_t>(code));
  float value = r.codes == Codes::book4  ? plan.table[code]
                : r.codes == Codes::e4m3 ? numeric::fp8_e4m3.decode(code)
                                         : static_cast<float>(static_cast<int>(code) - r.bias);
  if (plan.row_scales) {
    value *= row_scale(m, row);
    return plan.row_offsets ? value + row_offset(m, row) : value;
  }
  const int64_t at = col % r.columns() / (r.columns() / r.units) * 64 + scale_place(in_block);
  float scale = word_at(r.scale, record + r.scales_at(), at);
  const int place = scale_place(in_block);
  if (r.scale == ScaleWord::super) scale *= word_at(ScaleWord::fp16, record + r.factors_at(), place);
  if (r.offset == OffsetWord::zero_point)
    value -= static_cast<float>(static_cast<int8_t>(record[r.offsets_at() + at]) + r.zero_bias);
  value *= scale;
  if (r.offset == OffsetWord::minimum) {
    float offset = word_at(r.scale, record + r.offsets_at(), at);
    if (r.scale == ScaleWord::super)
      offset *= word_at(ScaleWord::fp16, record + r.offset_factors_at(), place);
    value += offset;
  }
  return value * plan.factor;
}

void check(const WeightKind& kind, const QuantizedMatrix& m, Precision precision) {
  const PartPlan plan = plan_part(m, precision);
  EXPECT_EQ(plan.row_block_bytes() % 16, 0);
  std::vector<std::byte> data(static_cast<size_t>(plan.row_blocks() * plan.row_block_bytes()));
  for (int64_t i = 0; i < plan.row_blocks(); ++i)
    ASSERT_TRUE(fill_row_block(m, plan, i, data.data() + i * plan.row_block_bytes()));
  std::vector<float> expected(static_cast<size_t>(m.rows * m.cols));
  tensor::dequantize(m, 0, m.rows, expected.data());
  for (int64_t row = 0; row < m.rows; ++row)
    for (int64_t col = 0; col < m.cols; ++col) {
      float want = expected[static_cast<size_t>(row * m.cols + col)];
      if (plan.record.codes == Codes::bf16) want = numeric::bf16_to_float(numeric::float_to_bf16(want));
      // Offsets by the row are already products, and a factor stands outside.
      const bool regrouped = plan.row_offsets || plan.factor != 1;
      const float got = value_at(m, plan, data.data(), row, col);
      ASSERT_NEAR(got, want, regrouped ? 4e-7 * (std::fabs(want) + 1) : 0)
          << kind.name << ", " << m.rows << " x " << m.cols << " at [" << row << ", " << col << "]";
    }
}

TEST(LinearPack, HoldsEveryValue) {
  for (const WeightKind& kind : cases::weight_kinds())
    for (const int64_t rows : {1, 17, 64, 70})
      for (const int64_t cols : {1, 17, 64, 100, 192, 256, 320, 584}) {
        if (kind.per_super > 0 && cols % (int64_t{kind.group} * kind.per_super) != 0) continue;
        const QuantizedMatrix m = cases::random_matrix(kind, rows, cols, static_cast<uint64_t>(rows + cols));
        check(kind, m, Precision::bf16);
        check(kind, m, Precision::fp32);
      }
}

TEST(LinearPack, KeepsWideGroupsAndBlocks) {
  using namespace numeric;
  for (const int group : {48, 96, 128, 256})
    for (const int64_t cols : {128, 384, 512, 600}) {
      const WeightKind kind{"wide", &uint4, group, &bf16, WeightKind::zero_points};
      check(kind, cases::random_matrix(kind, 66, cols, 1), Precision::bf16);
    }
  QuantizedMatrix m = cases::random_matrix({"fp8", &fp8_e4m3, 128, &fp32}, 200, 256, 2);
  m.block_rows = 128;
  check({"blocks", &fp8_e4m3}, m, Precision::bf16);
  EXPECT_EQ(plan_part(m, Precision::bf16).record.codes, Codes::e4m3);
}

TEST(LinearPack, NeedsFewBytes) {
  const auto bits = [](const char* name, int64_t cols) {
    for (const WeightKind& kind : cases::weight_kinds())
      if (kind.name == name) {
        const PartPlan p = plan_part(cases::random_matrix(kind, 64, cols, 1), Precision::bf16);
        return static_cast<double>(p.row_block_bytes()) * 8 / (64.0 * static_cast<double>(cols));
      }
    return 0.0;
  };
  EXPECT_EQ(bits("bf16", 512), 16);
  EXPECT_EQ(bits("int8_channel", 512), 8);
  EXPECT_EQ(bits("w4a16", 512), 4.25);
  EXPECT_EQ(bits("w4a16_asym", 512), 4.375);
  EXPECT_EQ(bits("q4_1", 512), 5);
  EXPECT_EQ(bits("nf4", 512), 4.5);
  EXPECT_EQ(bits("mxfp4", 512), 4.5);
  EXPECT_EQ(bits("nvfp4", 512), 5);
  EXPECT_EQ(bits("q4_k", 512), 5);
  EXPECT_EQ(bits("fp8_channel", 512), 8);
}

TEST(LinearPack, CodesWithoutAValueAreSeen) {
  QuantizedMatrix m = cases::random_matrix({"fp8", &numeric::fp8_e4m3, 0, &numeric::fp32}, 3, 40, 2);
  m.codes.mutable_u8()[50] = 0x7f;
  const PartPlan plan = plan_part(m, Precision::bf16);
  std::vector<std::byte> data(static_cast<size_t>(plan.row_block_bytes()));
  EXPECT_FALSE(fill_row_block(m, plan, 0, data.data()));
  EXPECT_EQ(plan_as_bf16(m).record.codes, Codes::bf16);
}

}  // namespace
}  // namespace aquatint::kernels::cuda
