#include "checkpoint/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "build.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf_blocks.h"
#include "checkpoint/gguf_model.h"
#include "checkpoint/gguf_tokenizer.h"

namespace aquatint::checkpoint {
namespace {

using test::Gguf;
using test::raw;
using test::refusal;
using ::testing::HasSubstr;

constexpr uint32_t kF32 = 0, kF16 = 1, kQ8_0 = 8, kIq4Xs = 23;

GgufFile parse(const std::string& file) { return GgufFile::parse(test::bytes_of(file), "f"); }
std::string refusal_of(const std::string& file) {
  return refusal([&] { parse(file); });
}
std::string refusal_of(const Gguf& file) { return refusal_of(file.bytes()); }

TEST(GgufContainer, ReadsKeysOfEveryType) {
  Gguf file;
  file.key("u8", 0, raw<uint8_t>(200)).key("i8", 1, raw<int8_t>(-3)).key("u16", 2, raw<uint16_t>(60000));
  file.key("i16", 3, raw<int16_t>(-5)).u32("u32", 4'000'000'000).key("i32", 5, raw<int32_t>(-7));
  file.f32("f32", 0.5f).flag("flag", true).string("text", "é").key("u64", 10, raw<uint64_t>(1));
  file.key("i64", 11, raw<int64_t>(-9))
      .key("f64", 12, raw(0.25))
      .list("ints", 5, 2, raw(std::vector<int32_t>{1, -2}));
  file.list("floats", 6, 1, raw(1.5f)).strings("strings", {"a", "", "b"});
  const std::string bytes = file.bytes();
  const GgufFile parsed = parse(bytes);
  EXPECT_EQ(parsed.require_int("u8", 0, 255), 200);
  EXPECT_EQ(parsed.find_int("i8", -128, 127), -3);
  EXPECT_EQ(parsed.find_int("u16", 0, 65535), 60000);
  EXPECT_EQ(parsed.find_int("i16", -10, 0), -5);
  EXPECT_EQ(parsed.find_int("u32", 0, INT64_MAX), 4'000'000'000);
  EXPECT_EQ(parsed.find_int("i32", -10, 0), -7);
  EXPECT_EQ(parsed.find_int("i64", -10, 0), -9);
  EXPECT_EQ(parsed.find_number("f32"), 0.5);
  EXPECT_EQ(parsed.find_number("f64"), 0.25);
  EXPECT_EQ(parsed.find_bool("flag"), true);
  EXPECT_EQ(parsed.find_string("text"), "é");
  EXPECT_EQ(*parsed.find_list<GgufInts>("ints"), (GgufInts{1, -2}));
  EXPECT_EQ(*parsed.find_list<GgufFloats>("floats"), GgufFloats{1.5});
  EXPECT_EQ(*parsed.find_list<GgufStrings>("strings"), (GgufStrings{"a", "", "b"}));
  EXPECT_EQ(parsed.find_int("absent", 0, 1), std::nullopt);
  EXPECT_THAT(refusal([&] { parsed.require_int("absent", 0, 1); }), HasSubstr("\"absent\" is missing"));
  EXPECT_THAT(refusal([&] { parsed.require_int("u8", 0, 100); }), HasSubstr("is 200, expected 0 to 100"));
  EXPECT_THAT(refusal([&] { parsed.find_string("u8"); }), HasSubstr("not a string"));
}

TEST(GgufContainer, PlacesTensorsWithPadding) {
  const std::string bytes = Gguf()
                                .tensor("a", {3}, kF32, test::counted_floats(3))
                                .tensor("b", {32, 2}, kQ8_0, std::string(68, 'x'))
                                .bytes();
  const GgufFile file = parse(bytes);
  ASSERT_NE(file.tensor("b"), nullptr);
  EXPECT_EQ(file.tensor("b")->shape, (std::vector<int64_t>{2, 32}));
  EXPECT_EQ(file.tensor("b")->type->name, "Q8_0");
  EXPECT_EQ(static_cast<char>(file.tensor("b")->bytes[0]), 'x');
  EXPECT_EQ(base::load<float>(file.tensor("a")->bytes.data() + 8), 2.0f);
  EXPECT_EQ(file.tensor("c"), nullptr);
}

TEST(GgufContainer, RefusesBrokenHeads) {
  EXPECT_THAT(refusal_of("GGU"), HasSubstr("truncated"));
  EXPECT_THAT(refusal_of("GGML" + std::string(40, '\0')), HasSubstr("GGUF"));
  EXPECT_THAT(refusal_of(Gguf().bytes(1)), HasSubstr("version 1"));
  EXPECT_THAT(refusal_of(Gguf().bytes(0x03000000)), HasSubstr("big-endian"));
  EXPECT_THAT(refusal_of("GGUF" + raw<uint32_t>(3) + raw<uint64_t>(UINT64_MAX) + raw<uint64_t>(0)),
              HasSubstr("expected at most"));
  EXPECT_THAT(refusal_of("GGUF" + raw<uint32_t>(3) + raw<uint64_t>(0) + raw<uint64_t>(5)),
              HasSubstr("truncated"));
}

TEST(GgufContainer, RefusesBrokenKeys) {
  EXPECT_THAT(refusal_of(Gguf().u32("a", 1).u32("a", 1)), HasSubstr("\"a\" appears twice"));
  EXPECT_THAT(refusal_of(Gguf().key("a", 13, "")), HasSubstr("unknown type 13"));
  EXPECT_THAT(refusal_of(Gguf().key("a", 8, raw<uint64_t>(uint64_t{1} << 40))), HasSubstr("a string of"));
  EXPECT_THAT(refusal_of(Gguf().key("a", 8, raw<uint64_t>(1'000'000))), HasSubstr("truncated"));
  EXPECT_THAT(refusal_of(Gguf().list("a", 9, 1, "")), HasSubstr("list of type 9"));
  EXPECT_THAT(refusal_of(Gguf().list("a", 4, UINT64_MAX, "")), HasSubstr("more than the file holds"));
  EXPECT_THAT(refusal_of(Gguf().list("a", 8, 1'000'000, "")), HasSubstr("more than the file holds"));
  EXPECT_THAT(refusal_of(Gguf().key("a", 10, raw<uint64_t>(UINT64_MAX))), HasSubstr("at most"));
  EXPECT_THAT(refusal_of(Gguf().key("\xff", 4, raw<uint32_t>(0))), HasSubstr("UTF-8"));
}

TEST(GgufContainer, RefusesBrokenTensors) {
  const std::string data = test::counted_floats(8);
  EXPECT_THAT(refusal_of(Gguf().tensor("a", {1, 1, 1, 1, 1}, kF32, data)), HasSubstr("5 dimensions"));
  EXPECT_THAT(refusal_of(Gguf().tensor("a", {}, kF32, data)), HasSubstr("0 dimensions"));
  EXPECT_THAT(refusal_of(Gguf().tensor("a", {0}, kF32, data)), HasSubstr("extent of 0"));
  EXPECT_THAT(refusal_of(Gguf().tensor("a", {uint64_t{1} << 40, uint64_t{1} << 40}, kF32, data)),
              HasSubstr("63 bits"));
  EXPECT_THAT(refusal_of(Gguf().tensor("a", {uint64_t{1} << 62}, kF32, data)), HasSubstr("64 bits"));
  EXPECT_THAT(refusal_of(Gguf().tensor("a", {8}, 99, data)), HasSubstr("unknown type 99"));
  EXPECT_THAT(refusal_of(Gguf().tensor("a", {33}, kQ8_0, data)), HasSubstr("not a multiple of the 32"));
  EXPECT_THAT(refusal_of(Gguf().tensor(std::string(64, 'a'), {8}, kF32, data)), HasSubstr("64 bytes"));
  EXPECT_THAT(refusal_of(Gguf().tensor("", {8}, kF32, data)), HasSubstr("0 bytes"));
  EXPECT_THAT(refusal_of(Gguf().tensor("a", {8}, kF32, data).tensor("a", {8}, kF32, data)),
              HasSubstr("'a' appears twice"));
  EXPECT_THAT(refusal_of(Gguf().tensor("a", {64}, kF32, data)), HasSubstr("truncated"));
  EXPECT_THAT(refusal_of(Gguf().tensor("a", {8}, kF32, data + data)), HasSubstr("after the last tensor"));
}

TEST(GgufContainer, RefusesHolesAndOverlaps) {
  const std::string data = test::counted_floats(8);
  EXPECT_EQ(refusal_of(Gguf().tensor("a", {8}, kF32, data).tensor_at("b", {8}, kF32, 32, data)), "");
  EXPECT_THAT(refusal_of(Gguf().tensor("a", {8}, kF32, data).tensor_at("b", {8}, kF32, 0, data)),
              HasSubstr("expected 32"));
  EXPECT_THAT(refusal_of(Gguf().tensor("a", {8}, kF32, data).tensor_at("b", {8}, kF32, 64, data + data)),
              HasSubstr("expected 32"));
  EXPECT_THAT(refusal_of(Gguf().tensor_at("a", {8}, kF32, UINT64_MAX, data)), HasSubstr("expected 0"));
}

TEST(GgufContainer, RefusesWrongAlignments) {
  for (uint32_t alignment : {0u, 3u, 48u, 1u << 31})
    EXPECT_THAT(
        refusal_of(
            Gguf().u32("general.alignment", alignment).tensor("a", {8}, kF32, test::counted_floats(8))),
        HasSubstr("power of two"));
  EXPECT_EQ(refusal_of(Gguf().u32("general.alignment", 8).tensor("a", {8}, kF32, test::counted_floats(8))),
            "");
}

TEST(GgufContainer, Utf8IsStrict) {
  for (const char* good : {"", "a", "é", "東", "🙂", "\xf4\x8f\xbf\xbf"})
    EXPECT_TRUE(is_utf8(good)) << good;
  for (const char* bad : {"\x80", "\xc0\x80", "\xc3", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80"})
    EXPECT_FALSE(is_utf8(bad));
}

Gguf tiny_model() {
  Gguf file = test::tiny_llama_keys();
  file.string("tokenizer.ggml.model", "gpt2")
      .string("tokenizer.ggml.pre", "gpt-2")
      .strings("tokenizer.ggml.tokens", {"a", "b", "ab", "<s>"});
  file.list("tokenizer.ggml.token_type", 5, 4, raw(std::vector<int32_t>{1, 1, 1, 3}))
      .strings("tokenizer.ggml.merges", {"a b"});
  file.u32("tokenizer.ggml.bos_token_id", 3);
  file.tensor("token_embd.weight", {32, 4}, kQ8_0, std::string(4 * 34, '\1'))
      .tensor("blk.0.attn_q.weight", {32, 32}, kF16, std::string(2048, '\1'));
  return file;
}

// Reads everything that a damaged file still offers, as opening it does.
std::string refusal_of_all(const std::string& bytes) {
  return refusal([&] {
    const GgufFile file = parse(bytes);
    const base::Json config = gguf_config(file);
    gguf_side_files(file, config);
    for (const GgufTensor& tensor : file.tensors()) {
      if (!tensor.type->supported || tensor.shape.size() != 2) continue;
      const auto m = decode_ggml(*tensor.type, tensor.bytes, tensor.shape[0], tensor.shape[1]);
      std::vector<float> row(static_cast<size_t>(m.cols));
      tensor::dequantize(m, m.rows - 1, m.rows, row.data());
      row_order(config, "llama", hugging_face_name(tensor.name).value_or(""), m.rows);
    }
  });
}

TEST(GgufModel, AnyFlippedByteIsReadOrRefused) {
  const std::string file = tiny_model().bytes();
  EXPECT_EQ(refusal_of_all(file), "");
  const size_t interesting = file.size() - 2048 - 4 * 34;  // what follows is values
  for (size_t at = 0; at < interesting; ++at) {
    for (int mask : {1, 0x10, 0x80, 0xff}) {
      std::string damaged = file;
      damaged[at] = static_cast<char>(damaged[at] ^ mask);
      refusal_of_all(damaged);
    }
    EXPECT_NE(refusal_of_all(file.substr(0, at)), "");
  }
}

TEST(GgufModel, OpensWithEverythingInPlace) {
  test::TempFolder folder;
  const auto model = open_checkpoint(folder.write("good.gguf", tiny_model().bytes()).string());
  EXPECT_EQ(model->weights().size(), 2u);
  EXPECT_EQ(model->layout(), "gguf");
  EXPECT_EQ(inventory(*model).parameters, 4 * 32 + 32 * 32);
  EXPECT_NE(model->side_file("tokenizer.json"), nullptr);
  EXPECT_THAT(refusal([&] { model->weight("lm_head"); }), HasSubstr("'lm_head.weight'"));
  EXPECT_THAT(refusal([&] { model->vector("model.norm.weight", 32); }), HasSubstr("no tensor"));
  EXPECT_THAT(refusal([&] { model->vector("model.embed_tokens.weight", 128); }),
              HasSubstr("expected 128 values"));
}

TEST(GgufModel, RefusesWhatItCannotRead) {
  test::TempFolder folder;
  auto open = [&](const Gguf& file) {
    return refusal([&] { open_checkpoint(folder.write("m.gguf", file.bytes()).string()); });
  };
  const std::string embedding(4 * 34, '\1');
  auto keys = [] { return test::tiny_llama_keys(); };
  EXPECT_EQ(open(keys().tensor("token_embd.weight", {32, 4}, kQ8_0, embedding)), "");
  EXPECT_THAT(open(keys()), HasSubstr("token_embd.weight"));
  EXPECT_THAT(open(Gguf().string("general.architecture", "bloom")), HasSubstr("\"bloom\" is not supported"));
  EXPECT_THAT(open(keys().tensor("token_embd.weight", {256, 4}, kIq4Xs, std::string(4 * 136, '\1'))),
              HasSubstr("IQ4_XS"));
  EXPECT_THAT(open(keys()
                       .tensor("token_embd.weight", {32, 4}, kQ8_0, embedding)
                       .tensor("blk.0.ffn_gate_exps.weight", {8}, kF32, test::counted_floats(8))),
              HasSubstr("ffn_gate_exps"));
  EXPECT_THAT(
      open(keys().u32("llama.expert_count", 8).tensor("token_embd.weight", {32, 4}, kQ8_0, embedding)),
      HasSubstr("mixture"));
  EXPECT_THAT(open(keys().u32("split.count", 3).tensor("token_embd.weight", {32, 4}, kQ8_0, embedding)),
              HasSubstr("one of 3 parts"));
}

}  // namespace
}  // namespace aquatint::checkpoint
