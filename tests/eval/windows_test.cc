#include "eval/windows.h"

#include <gmock/gmock.h>

#include <numeric>

#include "base/error.h"
#include "letter_tokenizer.h"

namespace aquatint::eval {
namespace {

std::vector<int32_t> counted(int32_t n) {
  std::vector<int32_t> tokens(static_cast<size_t>(n));
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

template <class Error>
std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Windows, DropsTheLastPartialWindow) {
  const Windows windows(counted(19), -1, {.context = 6}, "text");
  EXPECT_EQ(windows.count(), 3);
  EXPECT_EQ(windows.options().stride, 6);
  EXPECT_EQ(windows.options().windows, 3);
  EXPECT_EQ(windows.scored_per_window(), 5);
  EXPECT_EQ(windows.scored(), 15);
  EXPECT_THAT(windows.window(2), testing::ElementsAre(12, 13, 14, 15, 16, 17));
}

TEST(Windows, HalfScoredAsLlamaCppDoes) {
  const Windows windows(counted(30720), -1, {.context = 512, .score_from = 257, .windows = 60}, "text");
  EXPECT_EQ(windows.count(), 60);
  EXPECT_EQ(windows.scored_per_window(), 255);
}

TEST(Windows, Overlap) {
  const Windows windows(counted(10), -1, {.context = 6, .stride = 2, .score_from = 4}, "text");
  EXPECT_EQ(windows.count(), 3);
  EXPECT_THAT(windows.window(1), testing::ElementsAre(2, 3, 4, 5, 6, 7));
  EXPECT_EQ(windows.scored(), 6);
}

TEST(Windows, BosReplacesTheFirstTokenOfEach) {
  const LetterTokenizer with(257), without;
  const Windows windows(with, "cdefghi", {.context = 4}, "text");  // 8 tokens with the BOS in front
  EXPECT_EQ(windows.count(), 2);
  EXPECT_THAT(windows.window(0), testing::ElementsAre(257, 'c', 'd', 'e'));
  EXPECT_THAT(windows.window(1), testing::ElementsAre(257, 'g', 'h', 'i'));
  EXPECT_THAT(Windows(without, "cdefghi", {.context = 4}, "text").window(0),
              testing::ElementsAre('c', 'd', 'e', 'f'));
}

TEST(Windows, TextTooShort) {
  const auto open = [](WindowOptions options) {
    return [options] { Windows(counted(10), -1, options, "some.txt"); };
  };
  EXPECT_THAT(message_of<base::BadInput>(open({.context = 11})),
              testing::AllOf(testing::HasSubstr("some.txt"), testing::HasSubstr("10 tokens"),
                             testing::HasSubstr("needs 11")));
  EXPECT_THAT(message_of<base::BadInput>(open({.context = 5, .windows = 3})),
              testing::AllOf(testing::HasSubstr("10 tokens"), testing::HasSubstr("needs 15")));
  EXPECT_THAT(message_of<base::BadInput>(open({.context = 5, .windows = INT64_MAX})),
              testing::HasSubstr("10 tokens"));
}

TEST(Windows, OptionsThatContradict) {
  for (const WindowOptions& options :
       {WindowOptions{.context = 1}, WindowOptions{.context = 4, .stride = 5},
        WindowOptions{.context = 4, .stride = -1}, WindowOptions{.context = 4, .score_from = 4},
        WindowOptions{.context = 4, .score_from = 0}, WindowOptions{.context = 4, .windows = -1}})
    EXPECT_THROW(Windows(counted(10), -1, options, "text"), base::BadUsage);
}

}  // namespace
}  // namespace aquatint::eval
