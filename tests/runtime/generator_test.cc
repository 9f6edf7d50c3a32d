#include "runtime/generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../model/runner.h"
#include "base/error.h"
#include "base/log.h"
#include "fake_tokenizer.h"
#include "runtime/text_stream.h"

namespace aquatint::runtime {
namespace {

using kernels::Phase;
using test::FakeTokenizer;
using test::Runner;
using test::some_tokens;
using ::testing::ElementsAre;

const std::string kPicture = "\xf0\x9f\x8e\xa8";  // one character of four bytes

Runner tiny_runner(int64_t positions = 2048) {
  base::Json config = test::tiny_config("qwen3");
  config["max_position_embeddings"] = positions;
  return Runner(test::random_checkpoint(config), kernels::kernel_set("ref"), kernels::Precision::fp32);
}

FakeTokenizer letters() {
  std::vector<std::string> pieces;
  for (int i = 0; i < 97; ++i) pieces.push_back(fmt::format("<{}>", i));
  return FakeTokenizer(pieces);
}

std::vector<std::vector<int32_t>> some_prompts() {
  return {some_tokens(5, 1), some_tokens(40, 2), some_tokens(1, 3), some_tokens(12, 4), some_tokens(9, 5)};
}

// The plain loop that a Generator must equal.
std::vector<int32_t> greedy(const Runner& r, std::vector<int32_t> prompt, int64_t count) {
  model::KvCache cache = r.cache();
  std::vector<int32_t> out;
  Phase phase = Phase::prefill;
  while (static_cast<int64_t>(out.size()) < count) {
    const auto hidden = r.run(prompt, cache, phase);
    const auto logits = r.logits({hidden.end() - 36, hidden.end()}, phase);
    out.push_back(static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    prompt = {out.back()};
    phase = Phase::decode;
  }
  return out;
}

TEST(Generator, EqualsThePlainLoopInAnyBatch) {
  const Runner r = tiny_runner();
  const auto prompts = some_prompts();
  for (int64_t batch : {1, 2, 16}) {
    const auto results = Generator(*r.model, nullptr).run(prompts, {.max_tokens = 20, .batch = batch});
    ASSERT_EQ(results.size(), prompts.size());
    for (size_t i = 0; i < prompts.size(); ++i) {
      EXPECT_EQ(results[i].tokens, greedy(r, prompts[i], 20)) << "prompt " << i << " batch " << batch;
      EXPECT_EQ(results[i].finish, Finish::length);
      EXPECT_EQ(results[i].prompt_tokens, static_cast<int64_t>(prompts[i].size()));
    }
  }
}

TEST(Generator, SampledTokensDoNotDependOnTheBatch) {
  const Runner r = tiny_runner();
  GenerateOptions options{.max_tokens = 15,
                          .sampling = {.temperature = 0.8f, .top_k = 20, .top_p = 0.9f, .seed = 7}};
  std::vector<std::vector<int32_t>> want;
  for (int64_t batch : {1, 3, 16}) {
    options.batch = batch;
    std::vector<std::vector<int32_t>> got;
    for (const auto& result : Generator(*r.model, nullptr).run(some_prompts(), options))
      got.push_back(result.tokens);
    if (want.empty()) want = got;
    EXPECT_EQ(got, want) << batch;
  }
}

// Longer than what goes through one forward pass.
TEST(Generator, LongPrompts) {
  base::Json config = test::tiny_config("llama");
  config["num_hidden_layers"] = 1;
  config["max_position_embeddings"] = 4096;
  const Runner r(test::random_checkpoint(config), kernels::kernel_set("ref"), kernels::Precision::fp32);
  const std::vector<std::vector<int32_t>> prompts = {some_tokens(300, 1), some_tokens(2100, 2),
                                                     some_tokens(7, 3)};
  const auto together = Generator(*r.model, nullptr).run(prompts, {.max_tokens = 3});
  for (size_t i = 0; i < prompts.size(); ++i)
    EXPECT_EQ(together[i].tokens,
              Generator(*r.model, nullptr).run({&prompts[i], 1}, {.max_tokens = 3})[0].tokens);
}

TEST(Generator, StopsAtAStopIdAndLeavesItOut) {
  const Runner r = tiny_runner();
  const auto prompts = some_prompts();
  const auto whole = greedy(r, prompts[0], 20);
  const size_t at = 6;
  const auto first = std::find(whole.begin(), whole.end(), whole[at]);  // it may have come before
  const auto result =
      Generator(*r.model, nullptr).run({&prompts[0], 1}, {.max_tokens = 20, .stop_ids = {whole[at]}})[0];
  EXPECT_EQ(result.finish, Finish::stop);
  EXPECT_EQ(result.tokens, std::vector<int32_t>(whole.begin(), first));
}

TEST(Generator, CallbackSeesEveryPieceAndCanEndOneReply) {
  const Runner r = tiny_runner();
  const FakeTokenizer tokenizer = letters();
  std::vector<std::string> texts(5);
  std::vector<int> calls(5);
  const auto results = Generator(*r.model, &tokenizer)
                           .run(some_prompts(), {.max_tokens = 8, .batch = 2},
                                [&](size_t prompt, int32_t token, std::string_view piece) {
                                  EXPECT_EQ(piece, fmt::format("<{}>", token));
                                  texts[prompt] += piece;
                                  return ++calls[prompt] < 4 || prompt != 1;
                                });
  EXPECT_THAT(calls, ElementsAre(8, 4, 8, 8, 8));
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(results[i].text, texts[i]);
    EXPECT_EQ(results[i].finish, i == 1 ? Finish::cancelled : Finish::length);
    EXPECT_EQ(results[i].tokens.size(), i == 1 ? 4u : 8u);
  }
}

TEST(Generator, EndsWithTheModelsPositions) {
  const Runner r = tiny_runner(16);
  const std::vector<std::vector<int32_t>> prompts = {some_tokens(12)}, full = {some_tokens(16)}, empty = {{}};
  Generator generator(*r.model, nullptr);
  const auto result = generator.run(prompts, {.max_tokens = 100})[0];
  EXPECT_EQ(result.tokens.size(), 4u);
  EXPECT_EQ(result.finish, Finish::length);
  EXPECT_THROW(generator.run(full, {}), base::BadUsage);
  EXPECT_THROW(generator.run(empty, {}), base::BadUsage);
  EXPECT_THROW(generator.run(prompts, {.max_tokens = 0}), base::BadUsage);
  EXPECT_TRUE(generator.run({}, {}).empty());
}

TEST(TextStream, HoldsBackUnfinishedCharacters) {
  const FakeTokenizer tokenizer({"a", kPicture.substr(0, 1), kPicture.substr(1, 2), kPicture.substr(3), "b"});
  TextStream stream(tokenizer);
  EXPECT_EQ(stream.next(0), "a");
  EXPECT_EQ(stream.next(1), "");
  EXPECT_EQ(stream.next(2), "");
  EXPECT_EQ(stream.next(3), kPicture);
  EXPECT_EQ(stream.next(4), "b");
  EXPECT_EQ(stream.rest(), "");
}

TEST(TextStream, BrokenBytesBecomeReplacements) {
  const FakeTokenizer tokenizer({"a", kPicture.substr(0, 2), "b"});
  TextStream stream(tokenizer);
  EXPECT_EQ(stream.next(1), "");
  EXPECT_EQ(stream.next(0), "\uFFFDa");
  EXPECT_EQ(stream.next(2), "b");
  EXPECT_EQ(stream.next(1), "");
  EXPECT_EQ(stream.rest(), "\uFFFD");
}

}  // namespace
}  // namespace aquatint::runtime
