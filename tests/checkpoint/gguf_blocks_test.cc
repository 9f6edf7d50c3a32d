#include "checkpoint/gguf_blocks.h"

#include <gtest/gtest.h>

#include "build.h"

namespace aquatint::checkpoint {
namespace {

const GgmlType& type_named(std::string_view name) {
  for (uint32_t id = 0; id < 64; ++id)
    if (const GgmlType* type = find_ggml_type(id); type && type->name == name) return *type;
  throw std::runtime_error("no such type");
}

std::string dequantized(const tensor::QuantizedMatrix& m) {
  std::vector<float> values(static_cast<size_t>(m.rows * m.cols));
  tensor::dequantize(m, 0, m.rows, values.data());
  return test::raw(values);
}

// Blocks and values made with the gguf package: equal bit for bit.
TEST(GgufBlocks, EqualTheGgufPackage) {
  const base::Json blocks = test::golden("gguf_blocks");
  ASSERT_EQ(blocks.size(), 10u);
  for (const auto& [name, golden] : blocks.items()) {
    const std::string block = test::unhex(golden["block"].get<std::string>());
    const GgmlType& type = type_named(name);
    const auto m = decode_ggml(type, test::bytes_of(block), 1, type.block);
    EXPECT_EQ(dequantized(m), test::unhex(golden["values"].get<std::string>())) << name;
    EXPECT_EQ(m.stored_bytes, block.size());
  }
}

// formats.md: blocks of x = (i − 16) / 4 as the gguf package quantizes them.
TEST(GgufBlocks, KnownVectors) {
  const std::string q8 = test::unhex("082881899199a1a9b1b9c0c8d0d8e0e8f0f8000810182028303840474f575f676f77");
  const auto m = decode_ggml(type_named("Q8_0"), test::bytes_of(q8), 1, 32);
  std::vector<float> values(32);
  tensor::dequantize(m, 0, 1, values.data());
  const float step = 4.0f / 127;  // of the largest magnitude's code
  for (int i = 0; i < 32; ++i) EXPECT_NEAR(values[static_cast<size_t>(i)], (i - 16) / 4.0, step);
  const std::string q4 = test::unhex("0038809191a2a2b3b3c4c4d5d5e6e6f7f7f8");
  const auto n = decode_ggml(type_named("Q4_0"), test::bytes_of(q4), 1, 32);
  tensor::dequantize(n, 0, 1, values.data());
  EXPECT_EQ(values[0], -4.0f);
  EXPECT_EQ(values[16], 0.0f);
  EXPECT_EQ(values[31], 3.5f);
}

TEST(GgufBlocks, PlainTypesBorrow) {
  const std::string data = test::counted_floats(6);
  const auto m = decode_ggml(type_named("F32"), test::bytes_of(data), 2, 3);
  EXPECT_TRUE(m.plain());
  EXPECT_EQ(reinterpret_cast<const char*>(m.codes.u8()), data.data());
  EXPECT_EQ(dequantized(m), data);
}

// Each row's scales move with it, on both levels.
TEST(GgufBlocks, PermutedRowsKeepTheirValues) {
  const base::Json blocks = test::golden("gguf_blocks");
  for (const char* name : {"Q4_1", "Q4_K", "Q6_K"}) {
    std::string data = test::unhex(blocks[name]["block"].get<std::string>());
    const size_t block = data.size();
    data += data + data;
    for (size_t i = 0; i < 3; ++i) data[i * block + block / 2] = static_cast<char>(17 * i);  // rows differ
    data[2 * block] = static_cast<char>(data[2 * block] ^ 1);
    const GgmlType& type = type_named(name);
    const auto m = decode_ggml(type, test::bytes_of(data), 3, type.block);
    const std::string before = dequantized(m), after = dequantized(permute_rows(m, {2, 0, 1}));
    const size_t row = before.size() / 3;
    EXPECT_EQ(after, before.substr(2 * row) + before.substr(0, 2 * row)) << name;
  }
}

}  // namespace
}  // namespace aquatint::checkpoint
