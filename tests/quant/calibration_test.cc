#include "quant/calibration.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "../eval/letter_tokenizer.h"
#include "../model/fake_checkpoint.h"
#include "base/error.h"
#include "base/file.h"

namespace aquatint::quant {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

constexpr int32_t kBos = 257, kEnd = 0;

template <class Error = base::BadInput, class Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

class Calibration : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              fmt::format("aquatint-calibration-{}-{}", ::getpid(),
                          testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const std::string& name, const std::string& text) {
    base::write_text(folder_ / name, text);
    return folder_ / name;
  }
  CalibrationTarget target() const { return {&tokenizer_, nullptr, kEnd, 512, 258}; }
  CalibrationSet read(CalibrationOptions options) const { return read_calibration(options, target()); }

  fs::path folder_;
  eval::LetterTokenizer tokenizer_;
};

// `size` different bigrams, so that a window tells where it was taken.
std::string numbered(size_t size) {
  std::string text;
  for (size_t i = 0; text.size() < size; ++i) text += fmt::format("{:05} ", i);
  return text.substr(0, size);
}

std::string text_of(const std::vector<int32_t>& ids) {
  std::string text;
  for (const int32_t id : ids) text += static_cast<char>(id);
  return text;
}

TEST_F(Calibration, WindowsOfATextDoNotOverlapAndFollowTheSeed) {
  const std::string text = numbered(3200);
  const fs::path file = write("a.txt", text);
  const CalibrationSet set = read({{{file}}, 20, 32, 1});
  ASSERT_THAT(set.sequences, SizeIs(20));
  EXPECT_EQ(set.tokens(), 640);
  std::set<size_t> starts;
  for (const auto& window : set.sequences) {
    ASSERT_EQ(window.size(), 32u);
    const size_t start = text.find(text_of(window));
    ASSERT_NE(start, text.npos);
    EXPECT_EQ(start % 32, 0u);
    starts.insert(start);
  }
  EXPECT_THAT(starts, SizeIs(20));
  EXPECT_EQ(read({{{file}}, 20, 32, 1}).fingerprint, set.fingerprint);
  EXPECT_NE(read({{{file}}, 20, 32, 2}).fingerprint, set.fingerprint);
  const CalibrationSet fewer = read({{{file}}, 16, 32, 1});
  EXPECT_TRUE(std::equal(fewer.sequences.begin(), fewer.sequences.end(), set.sequences.begin()));
  EXPECT_EQ(set.description, "a.txt: 20 windows of 32 tokens, seed 1");
}

TEST_F(Calibration, EveryWindowStartsWithTheBosOfTheTokenizer) {
  const eval::LetterTokenizer with_bos(kBos);
  CalibrationTarget to = target();
  to.tokenizer = &with_bos;
  const std::string text = numbered(31 * 20);
  const CalibrationSet set = read_calibration({{{write("a.txt", text)}}, 20, 32, 0}, to);
  ASSERT_THAT(set.sequences, SizeIs(20));
  std::string all;
  std::vector<std::string> bodies;
  for (const auto& window : set.sequences) {
    ASSERT_EQ(window.size(), 32u);
    EXPECT_EQ(window[0], kBos);
    bodies.push_back(text_of({window.begin() + 1, window.end()}));
  }
  std::sort(bodies.begin(), bodies.end(),
            [&](const auto& a, const auto& b) { return text.find(a) < text.find(b); });
  for (const std::string& body : bodies) all += body;
  EXPECT_EQ(all, text);
}

TEST_F(Calibration, RatiosGiveExactCounts) {
  const fs::path a = write("a.txt", std::string(4000, 'a')), b = write("b.txt", std::string(4000, 'b')),
                 c = write("c.txt", std::string(4000, 'c'));
  const auto count = [](const CalibrationSet& set, char letter) {
    return std::count_if(set.sequences.begin(), set.sequences.end(),
                         [&](const auto& window) { return window[1] == letter; });
  };
  const CalibrationSet set = read({{{a, 3}, {b, 2}, {c, 2}}, 100, 16, 0});  // 42.86, 28.57, 28.57
  EXPECT_EQ(count(set, 'a'), 43);
  EXPECT_EQ(count(set, 'b'), 29);
  EXPECT_EQ(count(set, 'c'), 28);
  EXPECT_THAT(message_of<base::BadUsage>([&] {
                read({{{a, 1000}, {b, 1}}, 20, 16, 0});
              }),
              HasSubstr("b.txt"));
  EXPECT_THAT(message_of<base::BadUsage>([&] { read({{{a, 1}, {b, 0}}, 20, 16, 0}); }), HasSubstr("ratio 0"));
  EXPECT_THAT(message_of<base::BadUsage>([&] { read({{{a, 1}, {a, 2}}, 20, 16, 0}); }), HasSubstr("twice"));
  EXPECT_THAT(message_of<base::BadUsage>([&] { read({}); }), HasSubstr("--calibration"));
}

TEST_F(Calibration, ShortTextGivesWhatItHasFromSixteenWindowsOn) {
  const CalibrationSet set = read({{{write("a.txt", numbered(17 * 32 + 5))}}, 128, 32, 0});
  EXPECT_THAT(set.sequences, SizeIs(17));
  ASSERT_THAT(set.notes, SizeIs(1));
  EXPECT_THAT(set.notes[0], HasSubstr("17 calibration windows of 32 tokens instead of 128"));
  const fs::path shorter = write("b.txt", numbered(16 * 32 - 1));
  const std::string message = message_of([&] { read({{{shorter}}, 128, 32, 0}); });
  EXPECT_THAT(message, HasSubstr("511 tokens make 15"));
  EXPECT_THAT(message, HasSubstr("--seq-len 31"));
  EXPECT_THAT(read({{{shorter}}, 128, 31, 0}).sequences, SizeIs(16));
  EXPECT_THAT(read({{{shorter}}, 4, 32, 0}).sequences, SizeIs(4));  // nobody asked for sixteen
}

TEST_F(Calibration, TheLengthIsLoweredToTheContext) {
  const CalibrationSet set = read({{{write("a.txt", numbered(512 * 20))}}, 16, 2048, 0});
  EXPECT_THAT(set.sequences[0], SizeIs(512));
  EXPECT_THAT(set.notes, ElementsAre(HasSubstr("512 tokens instead of 2048")));
}

TEST_F(Calibration, FilesThatAreNoText) {
  const fs::path empty = write("empty.txt", ""), latin = write("latin.txt", "caf\xe9 au lait");
  EXPECT_THAT(message_of([&] { read({{{empty}}, 1, 16, 0}); }), HasSubstr("empty.txt: is empty"));
  EXPECT_THAT(message_of([&] { read({{{latin}}, 1, 16, 0}); }), HasSubstr("latin.txt: byte 3 is not UTF-8"));
  EXPECT_THAT(message_of([&] { read({{{folder_ / "none.txt"}}, 1, 16, 0}); }), HasSubstr("none.txt"));
  const CalibrationSet set = read({{{write("bom.txt", "\xEF\xBB\xBF" + numbered(16))}}, 1, 16, 0});
  EXPECT_EQ(text_of(set.sequences[0]), numbered(16));
}

TEST_F(Calibration, ATokenizerOfAnotherModelIsFound) {
  CalibrationTarget to = target();
  to.vocab_size = 60;  // digits and blanks, no letters
  const fs::path digits = write("d.txt", numbered(64)), letters = write("l.txt", std::string(64, 'x'));
  EXPECT_THAT(read_calibration({{{digits}}, 2, 16, 0}, to).sequences, SizeIs(2));
  EXPECT_THAT(message_of([&] {
                read_calibration({{{letters}}, 2, 16, 0}, to);
              }),
              HasSubstr("token 120 of it, but the model's embedding has 60 rows"));
}

TEST_F(Calibration, DocumentsArePackedWithTheEndTokenBetween) {
  std::string lines;
  for (int i = 0; i < 26; ++i)
    lines += fmt::format("{{\"text\": \"{}\"}}\n\n", std::string(7, static_cast<char>('A' + i)));
  const CalibrationSet set = read({{{write("d.jsonl", lines)}}, 12, 16, 3});
  ASSERT_THAT(set.sequences, SizeIs(12));
  std::map<char, int> letters;
  for (const auto& window : set.sequences) {
    ASSERT_EQ(window.size(), 16u);
    EXPECT_EQ(window[7], kEnd);
    EXPECT_EQ(window[15], kEnd);
    for (const int32_t id : window) ++letters[static_cast<char>(id)];
  }
  EXPECT_EQ(letters.size(), 25u);  // 24 documents of 26, each whole, and the end token
  for (const auto& [letter, count] : letters) EXPECT_EQ(count, letter == kEnd ? 24 : 7);
  EXPECT_NE(set.fingerprint, read({{{folder_ / "d.jsonl"}}, 12, 16, 4}).fingerprint);
}

TEST_F(Calibration, DocumentsThatEndThemselvesGetNoSecondEndToken) {
  std::string lines;
  for (int i = 0; i < 40; ++i)
    lines += i % 2 ? "{\"text\": \"1234567\\u0000\"}\n" : "{\"text\": \"123456\\u0000.\"}\n";
  const CalibrationSet set = read({{{write("d.jsonl", lines)}}, 20, 16, 0});
  ASSERT_THAT(set.sequences, SizeIs(20));
  for (const auto& window : set.sequences) EXPECT_EQ(std::count(window.begin(), window.end(), kEnd), 2);
}

TEST_F(Calibration, WithoutAnEndTokenDocumentsShareNoWindow) {
  CalibrationTarget to = target();
  to.end = -1;
  const fs::path file = write("d.jsonl", R"({"prompt": "0123456789012345678901"})");
  const CalibrationSet set = read_calibration({{{file}}, 2, 16, 0}, to);
  ASSERT_THAT(set.sequences, SizeIs(2));
  EXPECT_EQ(text_of(set.sequences[0]), "0123456789012345");
  EXPECT_EQ(text_of(set.sequences[1]), "678901");
}

TEST_F(Calibration, MessagesGoThroughTheChatTemplate) {
  test::FakeCheckpoint model;
  model.files.push_back({"chat_template.jinja",
                         "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
                         "{% if add_generation_prompt %}!{% endif %}"});
  const auto chat = runtime::Chat::load(model);
  CalibrationTarget to = target();
  to.chat = chat.get();
  const fs::path file = write("c.jsonl", R"({"messages": [{"role": "user", "content": "Hi"},)"
                                         R"( {"role": "assistant", "content": "Hello"}]})");
  const CalibrationSet set = read_calibration({{{file}}, 1, 24, 0}, to);
  EXPECT_EQ(text_of(set.sequences.at(0)), "<user>Hi<assistant>Hello");
  EXPECT_THAT(message_of([&] {
                read({{{file}}, 1, 16, 0});
              }),
              HasSubstr("c.jsonl, line 1: \"messages\" need"));
}

TEST_F(Calibration, LinesThatAreNoDocument) {
  const auto refused = [&](const std::string& line) {
    const fs::path file = write("x.jsonl", "\n" + line + "\n");
    return message_of([&] { read({{{file}}, 1, 16, 0}); });
  };
  EXPECT_THAT(refused("{"), HasSubstr("x.jsonl, line 2"));
  EXPECT_THAT(refused("[1]"), HasSubstr("line 2: expected one JSON object"));
  EXPECT_THAT(refused(R"({"txt": "a"})"), HasSubstr("none of \"messages\", \"text\", \"prompt\""));
  EXPECT_THAT(refused(R"({"text": 5})"), HasSubstr("text"));
  EXPECT_THAT(refused(R"({"text": ""})"), HasSubstr("0 tokens"));
}

// Pieces of a long file tokenized one by one give the ids of the whole.
TEST_F(Calibration, ALongFileIsTokenizedAsAWhole) {
  const std::string golden = base::read_text(fs::path(AQUATINT_GOLDEN) / "text" / "hard_unicode.txt");
  std::string text;
  while (text.size() < (size_t{5} << 19)) text += golden + "\n\n \n  The next part, 123.\nHere\n";
  const fs::path file = write("long.txt", text);
  for (const char* name : {"smollm", "gpt2", "llama3", "qwen2"}) {
    const auto tokenizer = text::Tokenizer::from_json(
        base::read_text(fs::path(AQUATINT_GOLDEN) / "text" / fmt::format("{}.json", name)), name);
    const std::vector<int32_t> whole = tokenizer->encode(text, false);
    const int64_t body = 512 - (tokenizer->bos_id() ? 1 : 0);
    const int64_t count = static_cast<int64_t>(whole.size()) / body;
    const CalibrationSet set = read_calibration({{{file}}, count, 512, 0},
                                                {tokenizer.get(), nullptr, -1, 512, tokenizer->vocab_size()});
    std::multiset<std::vector<int32_t>> expected, found;
    for (int64_t i = 0; i < count; ++i)
      expected.emplace(whole.begin() + i * body, whole.begin() + (i + 1) * body);
    for (const auto& window : set.sequences) found.emplace(window.end() - body, window.end());
    EXPECT_TRUE(found == expected) << name;
  }
}

}  // namespace
}  // namespace aquatint::quant
