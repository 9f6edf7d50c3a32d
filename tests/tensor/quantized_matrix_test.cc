#include "tensor/quantized_matrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace aquatint::tensor {
namespace {

Storage bytes(const std::vector<uint8_t>& values) {
  return Storage::copy_of(std::span<const uint8_t>(values));
}
Storage floats(const std::vector<float>& values) { return Storage::copy_of(std::span<const float>(values)); }

std::vector<float> rows_of(const QuantizedMatrix& m, int64_t begin, int64_t end) {
  std::vector<float> values(static_cast<size_t>((end - begin) * m.cols));
  dequantize(m, begin, end, values.data());
  return values;
}

// 2 × 5 codes 0 … 9 as uint8.
QuantizedMatrix counted() {
  QuantizedMatrix m;
  m.format = &numeric::uint8;
  m.rows = 2;
  m.cols = 5;
  std::vector<uint8_t> codes(10);
  std::iota(codes.begin(), codes.end(), uint8_t{0});
  m.codes = bytes(codes);
  return m;
}

TEST(QuantizedMatrix, PlainValuesAreTheCodes) {
  EXPECT_EQ(rows_of(counted(), 1, 2), (std::vector<float>{5, 6, 7, 8, 9}));
  const std::vector<float> values = {1.5f, -0.0f, 3e38f, 4};
  const auto m = plain_matrix(values, 2, 2);
  EXPECT_TRUE(m.plain());
  EXPECT_EQ(rows_of(m, 0, 2), values);
  EXPECT_TRUE(std::signbit(rows_of(m, 0, 1)[1]));
}

TEST(QuantizedMatrix, ALowRankPartIsAdded) {
  QuantizedMatrix m = counted();
  m.stored_bytes = 100;
  m.low_rank = std::make_shared<LowRank>(
      LowRank{plain_matrix({1, -1, 0, 2}, 2, 2), plain_matrix({1, 2, 3, 4, 5, 10, 20, 30, 40, 50}, 2, 5)});
  EXPECT_EQ(rows_of(m, 0, 2), (std::vector<float>{-9, -17, -25, -33, -41, 25, 46, 67, 88, 109}));
  EXPECT_EQ(rows_of(m, 1, 2), (std::vector<float>{25, 46, 67, 88, 109}));
  const QuantizedMatrix alone = without_low_rank(m);
  EXPECT_EQ(rows_of(alone, 0, 2), rows_of(counted(), 0, 2));
  EXPECT_EQ(alone.stored_bytes, 100u - (4 + 10) * sizeof(float));
}

TEST(QuantizedMatrix, PlainSixteenBitFormats) {
  QuantizedMatrix m;
  m.rows = 1;
  m.cols = 2;
  const std::vector<uint16_t> codes = {0x3f80, 0xc020};
  m.codes = Storage::copy_of(std::span<const uint16_t>(codes));
  m.format = &numeric::bf16;
  EXPECT_EQ(rows_of(m, 0, 1), (std::vector<float>{1, -2.5f}));
  m.format = &numeric::fp16;
  EXPECT_EQ(rows_of(m, 0, 1), (std::vector<float>{1.875f, -2.0625f}));
}

// Groups of 2 along 5 columns: the last one is partial. value = scale · (code − zero) + minimum.
TEST(QuantizedMatrix, GroupsWithZeroPointsAndMinima) {
  QuantizedMatrix m = counted();
  m.block_cols = 2;
  EXPECT_EQ(m.blocks_per_row(), 3);
  EXPECT_EQ(m.blocks(), 6);
  m.scales.format = &numeric::fp32;
  m.scales.codes = floats({1, 10, 100, 2, 20, 200});
  EXPECT_EQ(rows_of(m, 0, 2), (std::vector<float>{0, 1, 20, 30, 400, 10, 12, 140, 160, 1800}));
  m.zero_points = {0, 0, 4, 5, 0, -1};
  EXPECT_EQ(rows_of(m, 0, 2), (std::vector<float>{0, 1, 20, 30, 0, 0, 2, 140, 160, 2000}));
  m.minima.format = &numeric::fp32;
  m.minima.codes = floats({.5f, 0, 0, 0, 0, -1});
  EXPECT_EQ(rows_of(m, 0, 2), (std::vector<float>{.5f, 1.5f, 20, 30, 0, 0, 2, 140, 160, 1999}));
}

TEST(QuantizedMatrix, TilesChannelsAndTensors) {
  QuantizedMatrix m = counted();
  m.scales.format = &numeric::fp32;
  m.block_rows = 2;
  m.block_cols = 3;
  m.scales.codes = floats({1, 10});
  EXPECT_EQ(rows_of(m, 1, 2), (std::vector<float>{5, 6, 7, 80, 90}));
  m.block_cols = 5;
  m.scales.codes = floats({2});
  EXPECT_EQ(rows_of(m, 0, 1), (std::vector<float>{0, 2, 4, 6, 8}));
  m.block_rows = 1;
  m.scales.codes = floats({1, 3});
  EXPECT_EQ(rows_of(m, 1, 2), (std::vector<float>{15, 18, 21, 24, 27}));
}

// Blocks of the flattened matrix cross rows.
TEST(QuantizedMatrix, FlatBlocks) {
  QuantizedMatrix m = counted();
  m.flat_block = 4;
  m.scales.format = &numeric::fp32;
  m.scales.codes = floats({1, 10, 100});
  EXPECT_EQ(m.blocks(), 3);
  EXPECT_EQ(m.block_of(1, 2), 1);
  EXPECT_EQ(rows_of(m, 0, 2), (std::vector<float>{0, 1, 2, 3, 40, 50, 60, 70, 800, 900}));
}

TEST(Scales, TwoLevelsTableOffsetAndSign) {
  Scales s;
  s.format = &numeric::uint6;
  s.codes = bytes({1, 2, 3, 63});
  s.super_format = &numeric::fp32;
  s.super = floats({0.5f, 10});
  s.per_super = 2;
  EXPECT_EQ(s.count(), 4);
  EXPECT_EQ(s.at(1), 1.0f);
  EXPECT_EQ(s.at(3), 630.0f);
  s.offset = 0.25f;
  EXPECT_EQ(s.at(0), 0.75f);
  s.negated = true;
  EXPECT_EQ(s.at(2), -30.25f);
  s.table.assign(256, 7.0f);
  s.negated = false;
  EXPECT_EQ(s.at(2), 70.25f);
}

// ggml's dequantization keeps the sign of zero, and so must a scale without an offset.
TEST(Scales, NegativeZeroStays) {
  Scales s;
  s.format = &numeric::uint6;
  s.codes = bytes({0});
  s.super_format = &numeric::fp32;
  s.super = floats({-1});
  EXPECT_TRUE(std::signbit(s.at(0)));
}

TEST(Storage, BorrowsOrOwns) {
  auto owner = std::make_shared<std::vector<std::byte>>(4, std::byte{7});
  const std::weak_ptr<std::vector<std::byte>> alive = owner;
  Storage borrowed = Storage::borrowed(*owner, owner);
  owner.reset();
  EXPECT_FALSE(alive.expired());
  EXPECT_EQ(borrowed.u8()[3], 7);
  EXPECT_EQ(borrowed.mutable_u8(), nullptr);
  borrowed = Storage::owned(2);
  EXPECT_TRUE(alive.expired());
  EXPECT_TRUE(borrowed.is_owned());
  EXPECT_EQ(borrowed.u8()[1], 0);
}

}  // namespace
}  // namespace aquatint::tensor
