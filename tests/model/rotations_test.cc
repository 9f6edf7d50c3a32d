#include "model/rotations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "fake_checkpoint.h"

namespace aquatint::model {
namespace {

using testing::HasSubstr;

base::Json with(base::Json rotations) {
  base::Json config = test::tiny_config("llama");
  config[kRotationsKey] = std::move(rotations);
  return config;
}

std::string refusal(const base::Json& config) {
  try {
    parse_config(config, "config.json");
  } catch (const base::BadInput& e) {
    return e.what();
  }
  return "nothing was thrown";
}

TEST(Rotations, AreReadAndWrittenAlike) {
  const base::Json all = {{"version", 1},     {"residual", 3},        {"query_key", 4},
                          {"down_in", 5},     {"query_out", 6},       {"key_value_out", 7},
                          {"gate_up_out", 8}, {"attention_out_in", 9}};
  const Config config = parse_config(with(all), "test");
  EXPECT_TRUE(config.rotations.any());
  EXPECT_EQ(config.rotations.residual->width(), config.hidden_size);
  EXPECT_EQ(config.rotations.residual->seed(), 3u);
  EXPECT_EQ(config.rotations.query_key->width(), config.head_dim);
  EXPECT_EQ(config.rotations.attention_out_in->width(), config.q_width());
  EXPECT_EQ(config.rotations.down_in->width(), config.intermediate_size);
  EXPECT_EQ(config.rotations.query_out->width(), config.q_width());
  EXPECT_EQ(config.rotations.key_value_out->width(), config.kv_width());
  EXPECT_EQ(config.rotations.gate_up_out->width(), config.intermediate_size);
  EXPECT_EQ(to_json(config.rotations), all);
}

TEST(Rotations, AreNoneWithoutTheKey) {
  EXPECT_FALSE(parse_config(test::tiny_config("llama"), "test").rotations.any());
  EXPECT_FALSE(parse_config(with({{"version", 1}}), "test").rotations.any());
}

TEST(Rotations, FromOutsideAreChecked) {
  EXPECT_THAT(refusal(with("all")), HasSubstr("config.json: aquatint_rotations is not an object"));
  EXPECT_THAT(refusal(with({{"residual", 1}})), HasSubstr("\"version\""));
  EXPECT_THAT(refusal(with({{"version", 2}, {"residual", 1}})), HasSubstr("\"version\""));
  EXPECT_THAT(refusal(with({{"version", 1}, {"upwards", 1}})), HasSubstr("key \"upwards\" is no place"));
  EXPECT_THAT(refusal(with({{"version", 1}, {"residual", -1}})), HasSubstr("\"residual\""));
  EXPECT_THAT(refusal(with({{"version", 1}, {"residual", 1.5}})), HasSubstr("\"residual\""));
  EXPECT_THAT(refusal(with({{"version", 1}, {"residual", int64_t{1} << 53}})), HasSubstr("\"residual\""));
  base::Json prime = with({{"version", 1}, {"down_in", 1}});
  prime["intermediate_size"] = 2062;
  EXPECT_THAT(refusal(prime), HasSubstr("down_in asks for a rotation of width 2062"));
}

}  // namespace
}  // namespace aquatint::model
