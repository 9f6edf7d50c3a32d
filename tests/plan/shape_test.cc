#include "plan/shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "plan/choice.h"

namespace aquatint::plan {
namespace {

using ::testing::HasSubstr;

template <class Error, class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

struct Published {
  const char* name;
  double parameters, active;  // as the model cards and papers count them; active 0: dense
};

class KnownShape : public ::testing::TestWithParam<Published> {};

TEST_P(KnownShape, HasTheParametersOfItsCard) {
  const Shape shape = find_shape(GetParam().name);
  EXPECT_NEAR(shape.parameters() / GetParam().parameters, 1, 0.006);
  // Cards count the whole embedding as active.
  const double counted = shape.active_parameters() + static_cast<double>(shape.vocabulary * shape.hidden);
  const double active = GetParam().active > 0 ? GetParam().active : counted;
  EXPECT_NEAR(counted / active, 1, 0.03);
}

INSTANTIATE_TEST_SUITE_P(
    Cards, KnownShape,
    ::testing::Values(Published{"SmolLM2-135M", 134.5e6, 0}, Published{"Qwen3-0.6B", 0.596e9, 0},
                      Published{"Llama-3.2-1B", 1.236e9, 0}, Published{"Llama-3.2-3B", 3.213e9, 0},
                      Published{"Phi-3-mini", 3.821e9, 0}, Published{"Llama-2-7B", 6.738e9, 0},
                      Published{"Mistral-7B", 7.248e9, 0}, Published{"Qwen2.5-7B", 7.616e9, 0},
                      Published{"Llama-3-8B", 8.030e9, 0}, Published{"Qwen3-8B", 8.191e9, 0},
                      Published{"Gemma-2-9B", 9.242e9, 0}, Published{"Llama-2-13B", 13.016e9, 0},
                      Published{"Phi-4", 14.66e9, 0}, Published{"Qwen2.5-14B", 14.77e9, 0},
                      Published{"Gemma-3-27B", 27.01e9, 0}, Published{"Qwen3-30B-A3B", 30.53e9, 3.3e9},
                      Published{"Qwen2.5-32B", 32.76e9, 0}, Published{"Qwen3-32B", 32.76e9, 0},
                      Published{"Mixtral-8x7B", 46.70e9, 12.9e9}, Published{"Llama-3-70B", 70.55e9, 0},
                      Published{"Llama-2-70B", 68.98e9, 0}, Published{"Qwen2.5-72B", 72.71e9, 0},
                      Published{"Mixtral-8x22B", 140.6e9, 39.1e9},
                      Published{"Qwen3-235B-A22B", 235.1e9, 22.0e9}, Published{"Llama-3.1-405B", 405.9e9, 0},
                      Published{"DeepSeek-R1", 671.0e9, 37e9}));

TEST(Shape, IsFoundByNameAndSize) {
  EXPECT_EQ(find_shape("llama-3-70b").name, "Llama-3-70B");
  EXPECT_EQ(find_shape("70B").name, "Llama-3-70B");
  EXPECT_EQ(find_shape("13e9").name, "Llama-2-13B");
  EXPECT_EQ(find_shape("671b").name, "DeepSeek-R1");
  EXPECT_THAT(message_of<base::BadUsage>([] { find_shape("Llama-3-80B"); }),
              HasSubstr("did you mean 'Llama-3-8B'"));
  EXPECT_THAT(message_of<base::BadUsage>([] { find_shape("999B"); }),
              HasSubstr("no known model has about 999B"));
}

base::Json llama() {
  return {{"model_type", "llama"},   {"hidden_size", 64}, {"intermediate_size", 128},
          {"num_hidden_layers", 2},  {"vocab_size", 100}, {"num_attention_heads", 4},
          {"num_key_value_heads", 2}};
}

TEST(Shape, SaysWhichKeysLackAllAtOnce) {
  base::Json config = llama();
  config.erase("hidden_size");
  config.erase("vocab_size");
  EXPECT_THAT(
      message_of<base::BadInput>([&] { shape_from_config(config, "m/config.json"); }),
      HasSubstr("m/config.json: a plan for model_type \"llama\" needs the keys hidden_size, vocab_size"));
}

TEST(Shape, AsksForAShapeOfAnUnknownType) {
  base::Json config = llama();
  config["model_type"] = "mamba";
  EXPECT_THAT(message_of<base::BadInput>([&] { shape_from_config(config, "m"); }),
              HasSubstr("give a shape instead"));
}

TEST(Shape, RefusesContradictions) {
  base::Json config = llama();
  config["num_key_value_heads"] = 3;
  EXPECT_THROW(shape_from_config(config, "m"), base::BadInput);
  config = llama();
  config["hidden_size"] = -1;
  EXPECT_THROW(shape_from_config(config, "m"), base::BadInput);
  EXPECT_THROW(shape_from_config(base::Json::array(), "m"), base::BadInput);
}

TEST(Shape, ReadsTheLanguageModelOfAMultimodalConfig) {
  const base::Json config = {{"model_type", "gemma3"}, {"text_config", llama()}};
  EXPECT_EQ(shape_from_config(config, "m").hidden, 64);
}

// DeepSeek-V2, arXiv 2405.04434: (512 + 64) numbers of each layer; 61 layers of 2 bytes.
TEST(Shape, LatentAttentionKeepsOneVectorOfAToken) {
  const Shape shape = find_shape("DeepSeek-R1");
  EXPECT_TRUE(shape.latent_attention());
  EXPECT_EQ(cache_bytes_per_token(shape, find_choice("BF16")), 61 * 576 * 2);
}

TEST(Shape, WindowsBoundWhatIsKept) {
  const Shape shape = find_shape("Gemma-3-27B");
  const Choice choice = find_choice("BF16");
  const double layer = 2.0 * 16 * 128 * 2;  // keys and values, 16 heads of 128, 2 bytes
  EXPECT_EQ(cache_bytes(shape, choice, 100), 62 * layer * 100);
  EXPECT_EQ(cache_bytes(shape, choice, 10000), 10 * layer * 10000 + 52 * layer * 1024);
}

}  // namespace
}  // namespace aquatint::plan
