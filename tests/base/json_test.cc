#include "base/json.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace aquatint::base {
namespace {

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const BadInput& e) {
    return e.what();
  }
  return "";
}

TEST(Json, ErrorsNameFileAndKey) {
  const Json j =
      parse_json(R"({"a": 1, "s": "x", "big": 18446744073709551615, "null": null})", "config.json");
  EXPECT_EQ(require_int(j, "a", "config.json"), 1);
  EXPECT_EQ(int_or(j, "null", 7, "config.json"), 7);
  EXPECT_EQ(message_of([&] { require_int(j, "b", "config.json"); }), "config.json: key \"b\" is missing");
  EXPECT_EQ(message_of([&] { require_int(j, "s", "config.json"); }),
            "config.json: key \"s\" is string, expected an integer");
  EXPECT_EQ(message_of([&] { require_int(j, "a", "config.json", 2, 5); }),
            "config.json: key \"a\" is 1, expected 2 to 5");
  EXPECT_NE(message_of([&] { require_int(j, "big", "config.json"); }), "");
  EXPECT_NE(message_of([&] { require_int(Json::array(), "a", "config.json"); }), "");
}

TEST(Json, RejectsWhatIsNotJson) {
  for (const char* text : {"", "{", "{\"a\":}", "[1,]", "\"\xff\"", "nul", "{} {}"})
    EXPECT_THROW(parse_json(text, "f"), BadInput) << text;
}

TEST(Json, LimitsNesting) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_NO_THROW(parse_json(nested(64), "f", 64));
  EXPECT_THROW(parse_json(nested(66), "f", 64), BadInput);
  EXPECT_THROW(parse_json(std::string(1 << 20, '['), "f", 64), BadInput);
}

}  // namespace
}  // namespace aquatint::base
