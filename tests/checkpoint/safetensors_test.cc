#include "checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hash.h"
#include "build.h"

namespace aquatint::checkpoint {
namespace {

using test::raw;
using test::refusal;
using test::safetensors;
using test::safetensors_around;
using ::testing::HasSubstr;

SafetensorsHeader parse(const std::string& file) { return parse_safetensors(test::bytes_of(file), "f"); }
std::string refusal_of(const std::string& file) {
  return refusal([&] { parse(file); });
}

// One F32 tensor "a" of two elements with the given fields.
std::string one(const std::string& fields, size_t data_bytes = 8) {
  return safetensors_around("{\"a\":{" + fields + "}}", std::string(data_bytes, '\0'));
}

TEST(Safetensors, ReadsTensorsInTheOrderOfTheirData) {
  const auto header = parse(safetensors_around(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[1,3],"data_offsets":[4,10]},)"
      R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"e":{"dtype":"U8","shape":[0,9],"data_offsets":[10,10]}}   )",
      std::string(10, '\0')));
  ASSERT_EQ(header.entries.size(), 3u);
  EXPECT_EQ(header.entries[0].name, "a");
  EXPECT_EQ(header.entries[1].name, "b");
  EXPECT_EQ(header.entries[1].shape, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(header.entries[2].name, "e");
  EXPECT_TRUE(parse(safetensors_around("{}", "")).entries.empty());
}

TEST(Safetensors, RefusesBrokenContainers) {
  EXPECT_THAT(refusal_of("1234567"), HasSubstr("too short"));
  EXPECT_THAT(refusal_of(raw<uint64_t>(100'000'001)), HasSubstr("at most 100000000"));
  EXPECT_THAT(refusal_of(raw<uint64_t>(UINT64_MAX) + "{}"), HasSubstr("expected at most"));
  EXPECT_THAT(refusal_of(raw<uint64_t>(3) + "{}"), HasSubstr("truncated"));
  EXPECT_THAT(refusal_of(safetensors_around(" {}", "")), HasSubstr("begin with '{'"));
  EXPECT_THAT(refusal_of(safetensors_around("{\"a\":", "")), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal_of(safetensors_around("{\"\xff\":1}", "")), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal_of(safetensors_around("{\"__metadata__\":{\"a\":1}}", "")), HasSubstr("__metadata__"));
  EXPECT_THAT(
      refusal_of(safetensors_around("{\"a\":" + std::string(200, '[') + std::string(200, ']') + "}", "")),
      HasSubstr("nested"));
  EXPECT_THAT(refusal_of(safetensors_around("{}", "x")), HasSubstr("too long"));
}

TEST(Safetensors, RefusesBrokenEntries) {
  const std::string good = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";
  EXPECT_EQ(refusal_of(one(good)), "");
  EXPECT_THAT(refusal_of(one(good, 7)), HasSubstr("truncated"));
  EXPECT_THAT(refusal_of(one(good, 9)), HasSubstr("too long"));
  EXPECT_THAT(refusal_of(one(R"("dtype":"F33","shape":[2],"data_offsets":[0,8])")),
              HasSubstr("unknown dtype 'F33'"));
  EXPECT_THAT(refusal_of(one(R"("dtype":4,"shape":[2],"data_offsets":[0,8])")), HasSubstr("dtype"));
  EXPECT_THAT(refusal_of(one(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])")),
              HasSubstr("need 12 bytes"));
  EXPECT_THAT(refusal_of(one(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])")),
              HasSubstr("non-negative"));
  EXPECT_THAT(refusal_of(one(R"("dtype":"F32","shape":[2.5],"data_offsets":[0,8])")),
              HasSubstr("non-negative"));
  EXPECT_THAT(refusal_of(one(R"("dtype":"F32","shape":2,"data_offsets":[0,8])")), HasSubstr("\"shape\""));
  EXPECT_THAT(refusal_of(one(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])")), HasSubstr("begins at 8"));
  EXPECT_THAT(refusal_of(one(R"("dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615])")),
              HasSubstr("63-bit"));
  EXPECT_THAT(refusal_of(one(R"("dtype":"F32","shape":[2],"data_offsets":[0])")),
              HasSubstr("\"data_offsets\""));
  EXPECT_THAT(refusal_of(one(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8])")),
              HasSubstr("overflows"));
  EXPECT_THAT(refusal_of(one(R"("dtype":"F4","shape":[3],"data_offsets":[0,8])")),
              HasSubstr("whole number of bytes"));
}

TEST(Safetensors, RefusesHolesOverlapsAndDuplicates) {
  auto two = [](const char* first, const char* second, size_t bytes) {
    return safetensors_around(
        fmt::format(
            R"({{"a":{{"dtype":"U8","shape":[4],"data_offsets":[{}]}},"b":{{"dtype":"U8","shape":[4],"data_offsets":[{}]}}}})",
            first, second),
        std::string(bytes, '\0'));
  };
  EXPECT_EQ(refusal_of(two("0,4", "4,8", 8)), "");
  EXPECT_THAT(refusal_of(two("0,4", "5,9", 9)), HasSubstr("expected 4"));
  EXPECT_THAT(refusal_of(two("0,4", "3,7", 7)), HasSubstr("expected 4"));
  EXPECT_THAT(refusal_of(two("1,5", "5,9", 9)), HasSubstr("expected 0"));
  EXPECT_THAT(
      refusal_of(safetensors_around(
          R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
          "xy")),
      HasSubstr("'a' twice"));
  EXPECT_THAT(refusal_of(one(R"("dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8])")),
              HasSubstr("'shape' twice"));
}

// Whatever a damaged file holds, the answer is a header or one line.
TEST(Safetensors, AnyFlippedByteIsReadOrRefused) {
  const std::string file =
      safetensors({{"w", "F32", {2, 3}, std::string(24, '\1')}, {"v", "I64", {2}, std::string(16, '\2')}});
  for (size_t at = 0; at < file.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = file;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      refusal_of(damaged);
    }
    refusal_of(file.substr(0, at));
  }
}

TEST(SafetensorsSet, ReadsShardsByTheirIndex) {
  test::TempFolder folder;
  folder.write("one.safetensors", safetensors({{"a", "U8", {1}, "A"}, {"unused", "U8", {1}, "-"}}));
  folder.write("two.safetensors", safetensors({{"b", "U8", {2}, "BB"}}));
  folder.write("model.safetensors.index.json",
               R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  std::vector<std::string> warnings;
  const SafetensorsSet set(folder.path(), warnings);
  EXPECT_EQ(set.tensors().size(), 2u);
  ASSERT_NE(set.find("b"), nullptr);
  EXPECT_EQ(set.find("b")->bytes.size(), 2u);
  EXPECT_EQ(set.find("unused"), nullptr);
  EXPECT_TRUE(warnings.empty());
}

TEST(SafetensorsSet, RefusesIndexesThatPointNowhere) {
  const auto index = [](const std::string& text) {
    test::TempFolder folder;
    folder.write("one.safetensors", safetensors({{"a", "U8", {1}, "A"}}));
    folder.write("model.safetensors.index.json", text);
    std::vector<std::string> warnings;
    return refusal([&] { SafetensorsSet(folder.path(), warnings); });
  };
  EXPECT_EQ(index(R"({"weight_map":{"a":"one.safetensors"}})"), "");
  EXPECT_THAT(index(R"({"weight_map":{"b":"one.safetensors"}})"),
              HasSubstr("'b' is not in 'one.safetensors'"));
  EXPECT_THAT(index(R"({"weight_map":{"a":"two.safetensors"}})"), HasSubstr("cannot open"));
  EXPECT_THAT(index(R"({"weight_map":{"a":"../one.safetensors"}})"), HasSubstr("beside the index"));
  EXPECT_THAT(index(R"({"weight_map":{"a":"/etc/passwd"}})"), HasSubstr("beside the index"));
  EXPECT_THAT(index(R"({"weight_map":{"a":1}})"), HasSubstr("not a string"));
  EXPECT_THAT(index(R"({})"), HasSubstr("weight_map"));
  EXPECT_THAT(index(R"([])"), HasSubstr("weight_map"));
}

TEST(SafetensorsSet, WarnsOfAStaleFile) {
  test::TempFolder folder;
  folder.write("model.safetensors", safetensors({{"a", "U8", {1}, "A"}}));
  folder.write("model.safetensors.index.json", R"({"weight_map":{}})");
  std::vector<std::string> warnings;
  const SafetensorsSet set(folder.path(), warnings);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0], HasSubstr("stale"));
  EXPECT_EQ(set.tensors().size(), 1u);
}

TEST(SafetensorsSet, HashCoversNamesAndBytes) {
  test::TempFolder folder;
  const std::string bytes = safetensors({{"a", "U8", {1}, "A"}});
  folder.write("model.safetensors", bytes);
  std::vector<std::string> warnings;
  EXPECT_EQ(SafetensorsSet(folder.path(), warnings).sha256(),
            base::sha256_hex(test::bytes_of("model.safetensors" + bytes)));
}

}  // namespace
}  // namespace aquatint::checkpoint
